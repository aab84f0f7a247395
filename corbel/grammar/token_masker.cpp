#include "corbel/grammar/token_masker.h"

#include <algorithm>

namespace corbel {
namespace {

constexpr std::size_t kRememberedMasks = 256;

void set_bit(std::span<std::uint64_t> mask, std::int32_t token) {
  mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

}  // namespace

Result<std::unique_ptr<TokenMasker>> TokenMasker::make(std::shared_ptr<const Grammar> grammar,
                                                       std::shared_ptr<const TokenVocabulary> vocabulary) {
  ByteSet needed;
  for (const Dfa& table : grammar->tables) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (std::uint32_t state = 0; state < table.states() && !needed.has(byte); ++state) {
        if (table.step(state, static_cast<std::uint8_t>(byte)) != Dfa::kDead) needed.add(byte);
      }
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!needed.has(byte) || vocabulary->single_bytes().has(byte)) continue;
    return fail(Code::bad_request, cat("cannot use the grammar with this vocabulary: byte ", byte,
                                       " is no token of its own, a text could stop in front of it; compile the grammar "
                                       "with the vocabulary's bytes as its alphabet"));
  }
  return std::unique_ptr<TokenMasker>(new TokenMasker(std::move(grammar), std::move(vocabulary)));
}

TokenMasker::TokenMasker(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenVocabulary> vocabulary)
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)), machine_(grammar_) {
  plain_strings_ = (vocabulary_->plain_bytes() & grammar_->alphabet) == vocabulary_->plain_bytes();
  path_.resize(vocabulary_->max_token_bytes() + 2);
}

GrammarCursor TokenMasker::start() const {
  GrammarCursor cursor;
  cursor.states_.push_back(machine_.start());
  cursor.epoch_ = epoch_;
  return cursor;
}

void TokenMasker::make_room() {
  if (bytes_used() <= max_bytes_) return;
  machine_.reset();
  heads_.clear();
  masks_.clear();
  head_bytes_ = 0;
  ++epoch_;
}

Machine::Id TokenMasker::step_all(Id state, std::string_view bytes) {
  for (const char c : bytes) {
    if (state == Machine::kNothing) break;
    state = machine_.step(state, static_cast<std::uint8_t>(c));
  }
  return state;
}

/// The cursor's state; its ids are found anew when they were forgotten since.
Machine::Id TokenMasker::state_of(GrammarCursor& cursor) {
  if (cursor.epoch_ != epoch_) {
    Id state = machine_.start();
    cursor.states_[0] = state;
    for (std::size_t i = 1; i < cursor.states_.size(); ++i) {
      state = step_all(state, vocabulary_->bytes(cursor.tokens_[i - 1]));
      cursor.states_[i] = state;
    }
    cursor.epoch_ = epoch_;
  }
  return cursor.states_.back();
}

bool TokenMasker::accept(GrammarCursor& cursor, std::int32_t token) {
  if (cursor.ended_ || token < 0 || token >= vocabulary_->size()) return false;
  make_room();
  const Id state = state_of(cursor);
  if (vocabulary_->is_end(token)) {
    if (!machine_.may_end(state)) return false;
    cursor.ended_ = true;
    cursor.tokens_.push_back(token);
    return true;
  }
  const std::string_view bytes = vocabulary_->bytes(token);
  const Id next = bytes.empty() ? Machine::kNothing : step_all(state, bytes);
  if (next == Machine::kNothing) return false;
  cursor.tokens_.push_back(token);
  cursor.states_.push_back(next);
  return true;
}

void TokenMasker::rollback(GrammarCursor& cursor, std::size_t count) const {
  CORBEL_CHECK(count <= cursor.tokens_.size(), "rollback of ", count, " tokens of ", cursor.tokens_.size());
  if (count > 0) cursor.ended_ = false;
  cursor.tokens_.resize(cursor.tokens_.size() - count);
  cursor.states_.resize(std::min(cursor.states_.size(), cursor.tokens_.size() + 1));
}

bool TokenMasker::may_end(GrammarCursor& cursor) { return cursor.ended_ || machine_.may_end(state_of(cursor)); }

std::string TokenMasker::forced_bytes(GrammarCursor& cursor, std::size_t max_bytes) {
  std::string bytes;
  if (cursor.ended_) return bytes;
  Id state = state_of(cursor);
  while (bytes.size() < max_bytes) {
    const int byte = machine_.forced_byte(state);
    if (byte < 0) break;
    bytes += static_cast<char>(byte);
    state = machine_.step(state, static_cast<std::uint8_t>(byte));
  }
  return bytes;
}

void TokenMasker::fill_mask(GrammarCursor& cursor, std::span<std::uint64_t> mask) {
  CORBEL_CHECK(mask.size() == vocabulary_->mask_words(), "a mask of ", mask.size(), " words for a vocabulary of ",
               vocabulary_->size());
  std::fill(mask.begin(), mask.end(), 0);
  if (cursor.ended_) return;
  make_room();
  const Id state = state_of(cursor);
  if (const auto known = masks_.find(state); known != masks_.end()) {
    std::copy(known->second.begin(), known->second.end(), mask.begin());
    return;
  }
  add_state(state, mask);
  if (machine_.may_end(state)) {
    for (const std::int32_t id : vocabulary_->end_ids()) set_bit(mask, id);
  }
  if (masks_.size() >= kRememberedMasks) masks_.clear();
  masks_.emplace(state, std::vector<std::uint64_t>(mask.begin(), mask.end()));
}

void TokenMasker::add_state(Id state, std::span<std::uint64_t> mask) {
  if (state <= Machine::kEpsilon) return;
  const Grammar::Node node = machine_.node(state);
  const Id front = node.kind == Grammar::Kind::concat ? node.a : state;
  const Id behind = node.kind == Grammar::Kind::concat ? node.b : Machine::kEpsilon;
  if (machine_.node(front).kind == Grammar::Kind::concat) {  // kept aside in one piece: bring it into form
    return add_state(machine_.concat(front, behind), mask);
  }
  if (machine_.node(front).kind != Grammar::Kind::either) return add_front(front, behind, mask);
  const std::span<const Id> found = machine_.choices(front);
  const std::vector<Id> choices(found.begin(), found.end());
  for (const Id choice : choices) add_state(machine_.concat(choice, behind), mask);
}

void TokenMasker::add_front(Id front, Id behind, std::span<std::uint64_t> mask) {
  if (machine_.may_end(front)) add_state(behind, mask);
  const Head& head = head_of(front);
  if (head.plain > 0) {
    const std::span<const std::uint64_t> plain = vocabulary_->plain_mask(head.plain);
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= plain[i];
  }
  for (std::size_t i = 0; i < head.mask.size(); ++i) mask[i] |= head.mask[i];
  for (const std::int32_t token : head.tokens) set_bit(mask, token);
  if (behind == Machine::kEpsilon) return;
  for (const std::uint32_t border : head.borders) add_subtree(*head.trie, border, behind, mask);
}

const TokenMasker::Head& TokenMasker::head_of(Id front) {
  const Grammar::Node node = machine_.node(front);
  if (node.kind == Grammar::Kind::text) {
    // No token has more characters than this: longer strings allow the same.
    const auto longest = static_cast<std::uint32_t>(vocabulary_->max_token_bytes() + 1);
    front = machine_.text(node.a, std::min(node.min, longest), node.max > longest ? NodeStore::kUnbounded : node.max);
  }
  const auto known = heads_.find(front);
  if (known != heads_.end()) return known->second;
  Head head = make_head(front);
  head_bytes_ += sizeof(Head) + 64 + head.tokens.size() * 4 + head.mask.size() * 8 + head.borders.size() * 4;
  return heads_.emplace(front, std::move(head)).first->second;
}

TokenMasker::Head TokenMasker::make_head(Id front) {
  const Grammar::Node node = machine_.node(front);
  Head head;
  if (node.kind == Grammar::Kind::text && plain_strings_) head.plain = std::min(node.max, TokenVocabulary::kMaxPlain);
  head.trie = head.plain > 0 ? &vocabulary_->rest() : &vocabulary_->all();
  const TokenTrie& trie = *head.trie;
  path_[0] = front;
  for (std::uint32_t i = 1; i < trie.size();) {
    const TokenTrie::Node& at = trie.nodes[i];
    const Id state = machine_.step(path_[at.depth - 1U], at.byte);
    if (state == Machine::kNothing) {
      i = at.skip;
      continue;
    }
    path_[at.depth] = state;
    const std::uint32_t last = trie.nodes[i + 1].first_token;
    for (std::uint32_t t = at.first_token; t < last; ++t) head.tokens.push_back(trie.tokens[t]);
    if (machine_.may_end(state) && at.skip > i + 1) head.borders.push_back(i);
    i = state == Machine::kEpsilon ? at.skip : i + 1;
  }
  if (head.tokens.size() > 2 * vocabulary_->mask_words()) {
    head.mask.assign(vocabulary_->mask_words(), 0);
    for (const std::int32_t token : head.tokens) set_bit(head.mask, token);
    head.tokens = {};
  }
  return head;
}

void TokenMasker::add_subtree(const TokenTrie& trie, std::uint32_t node, Id state, std::span<std::uint64_t> mask) {
  const TokenTrie::Node& root = trie.nodes[node];
  path_[root.depth] = state;
  for (std::uint32_t i = node + 1; i < root.skip;) {
    const TokenTrie::Node& at = trie.nodes[i];
    const Id next = machine_.step(path_[at.depth - 1U], at.byte);
    if (next == Machine::kNothing) {
      i = at.skip;
      continue;
    }
    path_[at.depth] = next;
    const std::uint32_t last = trie.nodes[i + 1].first_token;
    for (std::uint32_t t = at.first_token; t < last; ++t) set_bit(mask, trie.tokens[t]);
    i = next == Machine::kEpsilon ? at.skip : i + 1;
  }
}

}  // namespace corbel
