#include "corbel/grammar/token_masker.h"

#include <algorithm>

namespace corbel {
namespace {

constexpr std::size_t kRememberedMasks = 256;

void set_bit(std::span<std::uint64_t> mask, std::int32_t token) {
  mask[static_cast<std::size_t>(token) / 64] |= std::uint64_t{1} << (token % 64);
}

void put_bit(std::span<std::uint64_t> mask, std::int32_t token, bool bit) {
  mask[static_cast<std::size_t>(token) / 64] &= ~(std::uint64_t{1} << (token % 64));
  if (bit) set_bit(mask, token);
}

void copy_mask(const std::vector<std::uint64_t>& from, std::span<std::uint64_t> to) {
  std::copy(from.begin(), from.end(), to.begin());
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
  // A special token is taken whole: no text stops inside it.
  needed.remove(static_cast<std::uint8_t>(kSpecialByte));
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
  if (bytes_used() > max_bytes_) forget();
}

void TokenMasker::forget() {
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
      state = step_all(
          state, i == 1 ? vocabulary_->first_bytes(cursor.tokens_[0]) : vocabulary_->bytes(cursor.tokens_[i - 1]));
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
  const bool is_first = cursor.tokens_.empty();
  const bool writes = !vocabulary_->bytes(token).empty();
  const Id next = writes ? step_all(state, is_first ? vocabulary_->first_bytes(token) : vocabulary_->bytes(token))
                         : Machine::kNothing;
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

bool TokenMasker::must_end(GrammarCursor& cursor) {
  return cursor.ended_ || state_of(cursor) == Machine::kEpsilon || machine_.must_end(state_of(cursor));
}

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
  CORBEL_CHECK(mask.size() >= vocabulary_->mask_words(), "a mask of ", mask.size(), " words for a vocabulary of ",
               vocabulary_->size());
  std::fill(mask.begin(), mask.end(), 0);
  if (cursor.ended_) return;
  mask = mask.first(vocabulary_->mask_words());
  make_room();
  Id state = state_of(cursor);
  const bool is_first = cursor.tokens_.empty() && !vocabulary_->first().empty();
  if (is_first && !first_mask_.empty()) return copy_mask(first_mask_, mask);
  if (const auto known = masks_.find(state); known != masks_.end() && !is_first) return copy_mask(known->second, mask);
  bool whole = add_state(state, mask);
  if (!whole) {
    // Was it this state, or what was remembered before? Alone it is cut at the same place every time.
    forget();
    state = state_of(cursor);
    std::ranges::fill(mask, 0);
    whole = add_state(state, mask);
    if (!whole) add_single_bytes(state, mask);
  }
  if (machine_.may_end(state)) {
    for (const std::int32_t id : vocabulary_->end_ids()) set_bit(mask, id);
  }
  if (is_first) {
    for (const TokenVocabulary::First& token : vocabulary_->first()) {
      put_bit(mask, token.token, step_all(state, token.bytes) != Machine::kNothing);
    }
    first_mask_.assign(mask.begin(), mask.end());
  }
  if (!whole) return forget();
  if (is_first) return;
  if (masks_.size() >= kRememberedMasks) masks_.clear();
  masks_.emplace(state, std::vector<std::uint64_t>(mask.begin(), mask.end()));
}

/// False when it was cut short. Without recursion: what stands behind parts that may be empty is as deep as the text is
/// long, and many ways lead to the same part.
bool TokenMasker::add_state(Id state, std::span<std::uint64_t> mask) {
  work_ = 0;
  seen_.clear();
  open_ = {state};
  while (!open_.empty() && !is_spent()) {
    const Id at = open_.back();
    open_.pop_back();
    if (at <= Machine::kEpsilon || !seen_.insert(at).second) continue;
    ++work_;
    const Grammar::Node node = machine_.node(at);
    const Id front = node.kind == Grammar::Kind::concat ? node.a : at;
    const Id behind = node.kind == Grammar::Kind::concat ? node.b : Machine::kEpsilon;
    if (machine_.node(front).kind == Grammar::Kind::concat) {  // kept aside in one piece: bring it into form
      open_.push_back(machine_.concat(front, behind));
    } else if (machine_.node(front).kind == Grammar::Kind::either) {
      const std::span<const Id> found = machine_.choices(front);
      const std::vector<Id> choices(found.begin(), found.end());
      for (const Id choice : choices) open_.push_back(machine_.concat(choice, behind));
    } else {
      add_front(front, behind, mask);
    }
  }
  return !is_spent();
}

void TokenMasker::add_front(Id front, Id behind, std::span<std::uint64_t> mask) {
  if (machine_.may_end(front)) open_.push_back(behind);
  const Grammar::Node node = machine_.node(front);
  if (node.kind == Grammar::Kind::text) {
    // No token has more characters than this: longer strings allow the same.
    const auto longest = static_cast<std::uint32_t>(vocabulary_->max_token_bytes() + 1);
    front = machine_.text(node.a, std::min(node.min, longest), node.max > longest ? NodeStore::kUnbounded : node.max);
  }
  if (const auto known = heads_.find(front); known != heads_.end()) {
    work_ += known->second.work;
    return add_head(known->second, behind, mask);
  }
  Head head = make_head(front);
  if (is_spent()) return add_head(head, behind, mask);  // not all of it
  head_bytes_ += sizeof(Head) + 64 + head.tokens.size() * 4 + head.mask.size() * 8 + head.borders.size() * 4;
  add_head(heads_.emplace(front, std::move(head)).first->second, behind, mask);
}

void TokenMasker::add_head(const Head& head, Id behind, std::span<std::uint64_t> mask) {
  if (head.plain > 0) {
    const std::span<const std::uint64_t> plain = vocabulary_->plain_mask(head.plain);
    for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= plain[i];
  }
  for (std::size_t i = 0; i < head.mask.size(); ++i) mask[i] |= head.mask[i];
  for (const std::int32_t token : head.tokens) set_bit(mask, token);
  if (behind == Machine::kEpsilon) return;
  for (const std::uint32_t border : head.borders) add_subtree(*head.trie, border, behind, mask);
}

/// The tokens of one byte that may come: every byte that may has one.
void TokenMasker::add_single_bytes(Id state, std::span<std::uint64_t> mask) {
  const TokenTrie& trie = vocabulary_->all();
  for (std::uint32_t at = 1; at < trie.size(); at = trie.nodes[at].skip) {
    if (machine_.step(state, trie.nodes[at].byte) == Machine::kNothing) continue;
    for (std::uint32_t t = trie.nodes[at].first_token; t < trie.nodes[at + 1].first_token; ++t)
      set_bit(mask, trie.tokens[t]);
  }
}

/// Goes down the trie from `root`, where `state` holds, and calls visit(node, state) at every node that is allowed.
template <typename Visit>
void TokenMasker::walk(const TokenTrie& trie, std::uint32_t root, Id state, Visit&& visit) {
  path_[trie.nodes[root].depth] = state;
  for (std::uint32_t i = root + 1; i < trie.nodes[root].skip;) {
    const TokenTrie::Node& at = trie.nodes[i];
    const Id next = machine_.step(path_[at.depth - 1U], at.byte);
    if (next == Machine::kNothing) {
      i = at.skip;
      continue;
    }
    path_[at.depth] = next;
    const Grammar::Node& node = machine_.node(next);
    work_ += node.kind == Grammar::Kind::either ? 1 + std::uint64_t{node.b} : 1;
    visit(i, next);
    if (is_spent()) return;
    i = next == Machine::kEpsilon ? at.skip : i + 1;
  }
}

TokenMasker::Head TokenMasker::make_head(Id front) {
  const Grammar::Node node = machine_.node(front);
  Head head;
  if (node.kind == Grammar::Kind::text && plain_strings_) head.plain = std::min(node.max, TokenVocabulary::kMaxPlain);
  head.trie = head.plain > 0 ? &vocabulary_->rest() : &vocabulary_->all();
  const TokenTrie& trie = *head.trie;
  const std::uint64_t before = work_;
  walk(trie, 0, front, [&](std::uint32_t at, Id state) {
    const std::uint32_t last = trie.nodes[at + 1].first_token;
    for (std::uint32_t t = trie.nodes[at].first_token; t < last; ++t) head.tokens.push_back(trie.tokens[t]);
    if (machine_.may_end(state) && trie.nodes[at].skip > at + 1) head.borders.push_back(at);
  });
  if (head.tokens.size() > 2 * vocabulary_->mask_words()) {
    head.mask.assign(vocabulary_->mask_words(), 0);
    for (const std::int32_t token : head.tokens) set_bit(head.mask, token);
    head.tokens = {};
  }
  head.work = work_ - before;
  return head;
}

void TokenMasker::add_subtree(const TokenTrie& trie, std::uint32_t node, Id state, std::span<std::uint64_t> mask) {
  walk(trie, node, state, [&](std::uint32_t at, Id) {
    const std::uint32_t last = trie.nodes[at + 1].first_token;
    for (std::uint32_t t = trie.nodes[at].first_token; t < last; ++t) set_bit(mask, trie.tokens[t]);
  });
}

}  // namespace corbel
