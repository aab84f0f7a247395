#include "corbel/text/unigram_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

constexpr double kUnknownPenalty = 10;  // as in both programs

// Where no token reaches over a place, the best path goes through it: after this many bytes what lies before is written
// out, so that the search of a long text stays in the cache.
constexpr std::size_t kSettleBytes = 512;
constexpr std::size_t kStackNodes = 1024;  // 16 KB
constexpr std::uint32_t kUnreached = ~0U;
constexpr std::uint32_t kNoNext = ~0U;

/// Bytes of the character at the front; also defined for invalid UTF-8.
std::size_t char_bytes(std::string_view text) noexcept {
  const auto lead = static_cast<std::uint8_t>(text.front());
  const std::size_t bytes = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(bytes, text.size());
}

}  // namespace

/// One call of encode(). Sum: what sums of scores are kept in.
template <typename Sum>
class UnigramModel::Search {
 public:
  Search(const UnigramModel& model, std::string_view piece, std::vector<std::int32_t>& ids)
      : model_(model), piece_(piece), ids_(ids) {}

  Result<void> run() {
    nodes_[0].sum = 0;
    while (at_ < piece_.size()) {
      if (base_ + reach_ == at_ && reach_ >= kSettleBytes) settle();
      const std::string_view rest = piece_.substr(at_);
      make_room(at_ - base_ + std::min(rest.size(), std::max<std::size_t>(model_.longest_, 4)) + 1);
      const std::size_t width = char_bytes(rest);
      const Sum here = nodes_[at_ - base_].sum;
      bool has_single = false;
      model_.trie_.each_prefix(rest, [&](std::size_t bytes, std::int32_t id) noexcept {
        offer(bytes, here + score_of(id, bytes), id);
        has_single |= bytes == width;
      });
      if (!has_single && offer(width, static_cast<Sum>(model_.unknown_score_) + here, model_.options_.unknown_id) &&
          model_.options_.unknown_id == kNoToken) {
        return fail(Code::bad_request, cat("the vocabulary has no token for \"", rest.substr(0, width),
                                           "\" and names no unknown token; found at byte ", at_, " of a piece of ",
                                           piece_.size(), " bytes"));
      }
      at_ += width;
    }
    settle();
    append_run();
    return {};
  }

 private:
  struct Node {
    Sum sum;              // of the best path that ends here
    std::uint32_t begin;  // where its last token begins
    std::int32_t id;
  };

  Sum score_of(std::int32_t id, std::size_t bytes) const noexcept {
    if constexpr (std::is_same_v<Sum, float>) {
      if (!model_.roles_.empty() && model_.roles_[static_cast<std::size_t>(id)] == Role::user_defined) {
        return static_cast<float>(static_cast<double>(static_cast<float>(bytes) * model_.highest_score_) - 0.1);
      }
    }
    return static_cast<Sum>(model_.scores_[static_cast<std::size_t>(id)]);
  }

  /// Takes the token at_ .. at_ + bytes if its path is the best to its end so far, the first of equals.
  bool offer(std::size_t bytes, Sum sum, std::int32_t id) noexcept {
    const std::size_t end = at_ - base_ + bytes;
    while (reach_ < end) nodes_[++reach_].begin = kUnreached;
    Node& node = nodes_[end];
    if (node.begin != kUnreached && !(sum > node.sum)) return false;
    node = {sum, static_cast<std::uint32_t>(at_ - base_), id};
    return true;
  }

  void make_room(std::size_t nodes) {
    if (nodes <= capacity_) return;
    const std::size_t wanted = std::max(nodes, capacity_ * 2);
    const bool was_short = heap_nodes_.empty();
    heap_nodes_.resize(wanted);
    if (was_short) std::copy_n(short_nodes_.data(), reach_ + 1, heap_nodes_.data());
    nodes_ = heap_nodes_.data();
    capacity_ = wanted;
  }

  /// Writes out the best path to at_, where all paths meet, and begins anew there.
  void settle() {
    const auto end = static_cast<std::uint32_t>(at_ - base_);
    if (end == 0) return;
    const Sum sum = nodes_[end].sum;
    std::uint32_t next = kNoNext;  // turns the links from "where it begins" into "where the next one ends"
    for (std::uint32_t node = end; node > 0;) {
      const std::uint32_t begin = nodes_[node].begin;
      nodes_[node].begin = next;
      next = node;
      node = begin;
    }
    std::uint32_t begin = 0;
    for (std::uint32_t node = next; node != kNoNext; node = nodes_[node].begin) {
      append(base_ + begin, base_ + node, nodes_[node].id);
      begin = node;
    }
    base_ = at_;
    reach_ = 0;
    nodes_[0].sum = sum;
  }

  void append(std::size_t begin, std::size_t end, std::int32_t id) {
    if (id == model_.options_.unknown_id) {
      if (run_end_ == begin && model_.options_.fuse_unknown) {
        run_end_ = end;
        return;
      }
      append_run();
      run_begin_ = begin;
      run_end_ = end;
      return;
    }
    append_run();
    ids_.push_back(id);
  }

  void append_run() {
    if (run_begin_ < run_end_) model_.append_unknown(piece_.substr(run_begin_, run_end_ - run_begin_), ids_);
    run_begin_ = run_end_ = 0;
  }

  const UnigramModel& model_;
  std::string_view piece_;
  std::vector<std::int32_t>& ids_;
  std::size_t at_ = 0;         // in the piece
  std::size_t base_ = 0;       // the place in the piece that nodes_[0] stands for
  std::size_t reach_ = 0;      // the last node that is set
  std::size_t run_begin_ = 0;  // unknown text that is not written out yet
  std::size_t run_end_ = 0;
  std::array<Node, kStackNodes> short_nodes_;
  std::vector<Node> heap_nodes_;
  Node* nodes_ = short_nodes_.data();
  std::size_t capacity_ = kStackNodes;
};

Result<std::unique_ptr<UnigramModel>> UnigramModel::make(Vocabulary vocabulary, std::vector<double> scores,
                                                         std::vector<Role> roles, Options options) {
  const auto limit = static_cast<std::size_t>(vocabulary.limit());
  if (scores.size() != limit || (!roles.empty() && roles.size() != limit)) {
    return fail(Code::bad_file, cat("a vocabulary of ", limit, " ids needs as many scores and roles, found ",
                                    scores.size(), " and ", roles.size()));
  }
  if (options.unknown_id != kNoToken && !vocabulary.has(options.unknown_id)) {
    return fail(Code::bad_file, cat("the unknown token has the id ", options.unknown_id, "; the vocabulary of ", limit,
                                    " ids has no such token"));
  }
  const bool floats = options.arithmetic == Arithmetic::float_sums;
  for (std::size_t id = 0; id < limit; ++id) {
    if (floats) scores[id] = static_cast<double>(static_cast<float>(scores[id]));
    if (!std::isfinite(scores[id])) {
      return fail(Code::bad_file, cat("the score of \"", vocabulary.text(static_cast<std::int32_t>(id)).substr(0, 80),
                                      "\" (id ", id, ") is ", scores[id], "; it must be a finite number"));
    }
  }
  return std::unique_ptr<UnigramModel>(
      new UnigramModel(std::move(vocabulary), std::move(scores), std::move(roles), options));
}

UnigramModel::UnigramModel(Vocabulary vocabulary, std::vector<double> scores, std::vector<Role> roles, Options options)
    : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), roles_(std::move(roles)), options_(options) {
  const bool floats = options_.arithmetic == Arithmetic::float_sums;
  if (!floats) roles_.clear();
  double lowest = floats ? std::numeric_limits<float>::max() : std::numeric_limits<double>::infinity();
  highest_score_ =
      std::numeric_limits<float>::min();  // the smallest positive one: where SentencePiece's library starts
  std::vector<ByteTrie::Key> keys;
  keys.reserve(vocabulary_.size());
  for (std::int32_t id = 0; id < vocabulary_.limit(); ++id) {
    const auto index = static_cast<std::size_t>(id);
    const Role role = roles_.empty() ? Role::normal : roles_[index];
    if (!vocabulary_.has(id)) continue;
    if (role == Role::normal) {
      lowest = std::min(lowest, scores_[index]);
      if (floats) highest_score_ = std::max(highest_score_, static_cast<float>(scores_[index]));
    }
    if (role == Role::unmatched) continue;
    keys.push_back({vocabulary_.text(id), id});
    longest_ = std::max(longest_, vocabulary_.text(id).size());
  }
  trie_ = ByteTrie(keys);
  unknown_score_ = floats ? static_cast<double>(static_cast<float>(lowest) - static_cast<float>(kUnknownPenalty))
                          : lowest - kUnknownPenalty;
  constexpr char kHex[] = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary_.find(cat("<0x", kHex[byte / 16], kHex[byte % 16], ">"));
  }
}

Result<void> UnigramModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (options_.arithmetic == Arithmetic::float_sums) return Search<float>(*this, piece, ids).run();
  return Search<double>(*this, piece, ids).run();
}

void UnigramModel::append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (options_.arithmetic == Arithmetic::double_sums) {
    // Joined unknowns are looked up: the unknown token itself stands in the vocabulary and may be spelled in the text.
    if (const std::int32_t id = vocabulary_.find(text); id != kNoToken) {
      ids.push_back(id);
      return;
    }
  }
  const auto id_of = [&](char c) { return byte_ids_[static_cast<std::uint8_t>(c)]; };
  if (options_.byte_fallback && std::ranges::none_of(text, [&](char c) { return id_of(c) == kNoToken; })) {
    for (const char c : text) ids.push_back(id_of(c));
    return;
  }
  ids.push_back(options_.unknown_id);
}

}  // namespace corbel
