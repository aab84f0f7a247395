#include "corbel/grammar/regular.h"

#include <algorithm>
#include <deque>

namespace corbel {
namespace {

constexpr std::size_t kMaxLiteral = 4096;  // constructors recurse along texts

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  a = (a ^ b) * 0x9E3779B97F4A7C15ULL;
  return a ^ (a >> 29);
}

}  // namespace

Regular::Regular(Limits limits, ByteSet alphabet) : limits_(limits), alphabet_(alphabet) {
  nodes_.push_back({Kind::nothing, false});
  nodes_.push_back({Kind::epsilon, true});
}

Regular::Id Regular::intern(const Node& node) {
  std::uint64_t key = mix(static_cast<std::uint64_t>(node.kind), 7);
  if (node.kind == Kind::bytes) {
    for (const std::uint64_t word : sets_[node.a].words) key = mix(key, word);
  } else {
    key = mix(mix(key, node.a), mix(node.b, (std::uint64_t{node.min} << 32) | node.max));
  }
  const auto [first, last] = known_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    const Node& other = nodes_[it->second];
    if (other.kind != node.kind) continue;
    const bool same = node.kind == Kind::bytes
                          ? sets_[other.a] == sets_[node.a]
                          : other.a == node.a && other.b == node.b && other.min == node.min && other.max == node.max;
    if (same) return it->second;
  }
  if (nodes_.size() >= limits_.max_expressions) {
    spent_ = true;
    return nothing();
  }
  const Id id = static_cast<Id>(nodes_.size());
  nodes_.push_back(node);
  known_.emplace(key, id);
  return id;
}

Regular::Id Regular::intern_either(const std::vector<Id>& choices) {
  std::uint64_t key = mix(static_cast<std::uint64_t>(Kind::either), choices.size());
  bool empty = false;
  for (const Id id : choices) {
    key = mix(key, id);
    empty = empty || nullable(id);
  }
  const auto [first, last] = known_.equal_range(key);
  for (auto it = first; it != last; ++it) {
    const Node& other = nodes_[it->second];
    if (other.kind == Kind::either && other.b == choices.size() &&
        std::equal(choices.begin(), choices.end(), children_.begin() + other.a)) {
      return it->second;
    }
  }
  if (nodes_.size() >= limits_.max_expressions ||
      children_.size() + choices.size() > std::size_t{16} * limits_.max_expressions) {
    spent_ = true;
    return nothing();
  }
  const Id id = static_cast<Id>(nodes_.size());
  nodes_.push_back(
      {Kind::either, empty, static_cast<std::uint32_t>(children_.size()), static_cast<std::uint32_t>(choices.size())});
  children_.insert(children_.end(), choices.begin(), choices.end());
  known_.emplace(key, id);
  return id;
}

Regular::Id Regular::bytes(const ByteSet& set) {
  const ByteSet kept = set & alphabet_;
  if (kept.empty()) return nothing();
  sets_.push_back(kept);
  const Id id = intern({Kind::bytes, false, static_cast<std::uint32_t>(sets_.size() - 1)});
  if (nodes_[id].a != sets_.size() - 1 || id == nothing()) sets_.pop_back();
  return id;
}

Regular::Id Regular::literal(std::string_view text) {
  if (text.size() > kMaxLiteral) {
    spent_ = true;
    return nothing();
  }
  work_ += text.size();
  Id id = epsilon();
  for (std::size_t i = text.size(); i-- > 0;) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    id = concat(byte_range(byte, byte), id);
  }
  return id;
}

Regular::Id Regular::concat(Id first, Id second) {
  if (first == nothing() || second == nothing()) return nothing();
  if (first == epsilon()) return second;
  if (second == epsilon()) return first;
  if (nodes_[first].kind == Kind::concat) {
    const Node node = nodes_[first];
    ++work_;
    return concat(node.a, concat(node.b, second));
  }
  return intern({Kind::concat, nullable(first) && nullable(second), first, second});
}

Regular::Id Regular::concat(std::initializer_list<Id> parts) {
  Id id = epsilon();
  for (const Id* part = parts.end(); part != parts.begin();) id = concat(*--part, id);
  return id;
}

void Regular::flatten(const std::vector<Id>& choices, std::vector<Id>& flat) {
  ByteSet set;
  for (const Id choice : choices) {
    const Node& node = nodes_[choice];
    const std::span<const Id> inner = node.kind == Kind::either ? std::span<const Id>(children_).subspan(node.a, node.b)
                                                                : std::span<const Id>(&choice, 1);
    for (const Id id : inner) {
      ++work_;
      if (nodes_[id].kind == Kind::bytes) {
        set = set | sets_[nodes_[id].a];
      } else if (id != nothing()) {
        flat.push_back(id);
      }
    }
  }
  if (!set.empty()) flat.push_back(bytes(set));
  std::sort(flat.begin(), flat.end());
  flat.erase(std::unique(flat.begin(), flat.end()), flat.end());
}

/// x y | x z = x (y | z): keeps lists of words as trees.
void Regular::factor(std::vector<Id>& flat) {
  std::vector<std::pair<Id, Id>> heads;
  for (const Id id : flat) {
    const Node& node = nodes_[id];
    heads.emplace_back(node.kind == Kind::concat ? node.a : id, id);
  }
  std::stable_sort(heads.begin(), heads.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Id> out;
  for (std::size_t i = 0; i < heads.size();) {
    std::size_t end = i + 1;
    while (end < heads.size() && heads[end].first == heads[i].first) ++end;
    if (end == i + 1) {
      out.push_back(heads[i].second);
    } else {
      std::vector<Id> tails;
      for (std::size_t j = i; j < end; ++j) {
        const Node& node = nodes_[heads[j].second];
        tails.push_back(heads[j].second == heads[i].first ? epsilon() : node.b);
      }
      out.push_back(concat(heads[i].first, either(std::move(tails))));
    }
    i = end;
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  flat = std::move(out);
}

Regular::Id Regular::either(std::vector<Id> choices) {
  std::vector<Id> flat;
  flatten(choices, flat);
  if (flat.size() > 1) factor(flat);
  if (flat.empty()) return nothing();
  if (flat.size() == 1) return flat[0];
  return intern_either(flat);
}

Regular::Id Regular::both(Id a, Id b) {
  if (a == b) return a;
  if (a == nothing() || b == nothing()) return nothing();
  const auto everything = [this](Id id) { return nodes_[id].kind == Kind::complement && nodes_[id].a == nothing(); };
  if (everything(a)) return b;
  if (everything(b)) return a;
  if (a == epsilon()) return nullable(b) ? a : nothing();
  if (b == epsilon()) return nullable(a) ? b : nothing();
  if (a > b) std::swap(a, b);
  return intern({Kind::both, nullable(a) && nullable(b), a, b});
}

Regular::Id Regular::complement(Id inner) {
  if (nodes_[inner].kind == Kind::complement) return nodes_[inner].a;
  return intern({Kind::complement, !nullable(inner), inner});
}

Regular::Id Regular::repeat(Id inner, std::uint32_t min, std::uint32_t max) {
  if (min > max) return nothing();
  if (max == 0 || inner == epsilon()) return epsilon();
  if (inner == nothing()) return min == 0 ? epsilon() : nothing();
  if (nullable(inner)) min = 0;
  if (min == 1 && max == 1) return inner;
  const Node node = nodes_[inner];
  if (node.kind == Kind::repeat && node.min == 0 && node.max == kUnbounded) return inner;  // (x*){n,m} is x*
  return intern({Kind::repeat, min == 0 || nullable(inner), inner, 0, min, max});
}

Regular::Id Regular::derivative(Id id, std::uint8_t byte) {
  if (spent_ || id <= epsilon()) return nothing();
  if (++work_ > limits_.max_work) spent_ = true;
  if (nodes_[id].kind == Kind::bytes) return sets_[nodes_[id].a].has(byte) ? epsilon() : nothing();
  const std::uint64_t key = (std::uint64_t{id} << 8) | byte;
  if (const auto found = derivatives_.find(key); found != derivatives_.end()) return found->second;
  const Id result = compute_derivative(id, byte);
  if (derivatives_.size() >= std::size_t{4} * limits_.max_expressions) derivatives_.clear();
  derivatives_.emplace(key, result);
  return result;
}

Regular::Id Regular::compute_derivative(Id id, std::uint8_t byte) {
  const Node node = nodes_[id];
  switch (node.kind) {
    case Kind::concat: {
      const Id first = concat(derivative(node.a, byte), node.b);
      return nullable(node.a) ? either({first, derivative(node.b, byte)}) : first;
    }
    case Kind::either: {
      std::vector<Id> choices;
      for (std::uint32_t i = 0; i < node.b; ++i) {
        const Id next = derivative(children_[node.a + i], byte);
        if (next != nothing()) choices.push_back(next);
      }
      return either(std::move(choices));
    }
    case Kind::both: return both(derivative(node.a, byte), derivative(node.b, byte));
    case Kind::complement: return complement(derivative(node.a, byte));
    case Kind::repeat: {
      const std::uint32_t min = node.min == 0 ? 0 : node.min - 1;
      const std::uint32_t max = node.max == kUnbounded ? kUnbounded : node.max - 1;
      return concat(derivative(node.a, byte), repeat(node.a, min, max));
    }
    default: return nothing();
  }
}

void Regular::classify(Dfa& dfa) const {
  dfa.class_of.fill(0);
  dfa.classes = 1;
  std::vector<ByteSet> sets = sets_;
  sets.push_back(alphabet_);
  for (const ByteSet& set : sets) {
    std::array<int, 512> renamed;
    renamed.fill(-1);
    std::uint32_t classes = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      int& name = renamed[dfa.class_of[byte] * 2U + (set.has(byte) ? 1 : 0)];
      if (name < 0) name = static_cast<int>(classes++);
      dfa.class_of[byte] = static_cast<std::uint8_t>(name);
    }
    dfa.classes = classes;
    if (classes == 256) break;
  }
}

Result<Dfa> Regular::determinize(Id id) {
  Dfa dfa;
  classify(dfa);
  std::array<std::uint8_t, 256> byte_of{};
  for (unsigned byte = 256; byte-- > 0;) byte_of[dfa.class_of[byte]] = static_cast<std::uint8_t>(byte);
  std::unordered_map<Id, std::uint32_t> state_of{{id, 0}};
  std::vector<Id> order{id};
  for (std::size_t i = 0; i < order.size() && !spent_; ++i) {
    dfa.accepts.push_back(nullable(order[i]) ? 1 : 0);
    for (std::uint32_t c = 0; c < dfa.classes; ++c) {
      const bool usable = alphabet_.has(byte_of[c]);
      const Id next = usable ? derivative(order[i], byte_of[c]) : nothing();
      if (next == nothing()) {
        dfa.next.push_back(Dfa::kDead);
        continue;
      }
      const auto [at, fresh] = state_of.emplace(next, static_cast<std::uint32_t>(order.size()));
      if (fresh) order.push_back(next);
      dfa.next.push_back(at->second);
    }
    if (order.size() > limits_.max_states) spent_ = true;
  }
  if (spent_) {
    return fail(Code::bad_request, cat("it needs more than ", limits_.max_states, " states, ", limits_.max_expressions,
                                       " expressions or ", limits_.max_work, " units of work; use smaller counts"));
  }
  tidy(dfa);
  return dfa;
}

}  // namespace corbel
