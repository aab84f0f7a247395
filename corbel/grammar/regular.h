#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/grammar/byte_set.h"
#include "corbel/grammar/dfa.h"

/// Regular languages over bytes, with intersection and complement, and the way from them to a table.
namespace corbel {

/// Expressions, each stored once: equal expressions have equal ids, which is what keeps their derivatives finite.
///
/// The derivative of a language by a byte is what may follow that byte. Counted repeats, intersections and complements
/// have derivatives as simple as the others', so nothing is unrolled or multiplied before it is needed; what would
/// still grow without bound meets the limits of work and of expressions, and `spent()` tells. Source: Brzozowski,
/// Derivatives of Regular Expressions (JACM 1964); Owens et al. (JFP 2009).
class Regular {
 public:
  using Id = std::uint32_t;
  static constexpr std::uint32_t kUnbounded = UINT32_MAX;

  struct Limits {
    std::uint32_t max_states = 20'000;        // of one table
    std::uint32_t max_expressions = 400'000;  // stored in one place
    std::uint64_t max_work = 30'000'000;      // children visited; about 0.5 s on a core of 2023
  };

  /// Bytes outside `alphabet` are in no set made here.
  explicit Regular(Limits limits, ByteSet alphabet = ByteSet::all());

  Id nothing() const { return 0; }  // no text at all
  Id epsilon() const { return 1; }  // the empty text
  Id bytes(const ByteSet& set);
  Id byte_range(unsigned low, unsigned high) { return bytes(ByteSet::range(low, high)); }
  Id literal(std::string_view text);
  Id concat(Id first, Id second);
  Id concat(std::initializer_list<Id> parts);
  Id either(std::vector<Id> choices);
  Id both(Id a, Id b);
  Id complement(Id inner);
  Id repeat(Id inner, std::uint32_t min, std::uint32_t max = kUnbounded);
  Id star(Id inner) { return repeat(inner, 0); }
  Id optional(Id inner) { return repeat(inner, 0, 1); }
  Id difference(Id a, Id b) { return both(a, complement(b)); }

  bool nullable(Id id) const { return nodes_[id].nullable; }
  Id derivative(Id id, std::uint8_t byte);

  /// True once a limit was met: every answer since is meaningless.
  bool spent() const { return spent_; }
  std::uint64_t work() const { return work_; }

  /// The table of a language, without states from which no text ends. Refuses what meets a limit.
  Result<Dfa> determinize(Id id);

 private:
  enum class Kind : std::uint8_t { nothing, epsilon, bytes, concat, either, both, complement, repeat };
  struct Node {
    Kind kind = Kind::nothing;
    bool nullable = false;
    std::uint32_t a = 0;  // bytes: index of the set; either: start in children_
    std::uint32_t b = 0;  // either: number of children
    std::uint32_t min = 0;
    std::uint32_t max = 0;
  };

  Id intern(const Node& node);
  Id intern_either(const std::vector<Id>& choices);
  void flatten(const std::vector<Id>& choices, std::vector<Id>& flat);
  void factor(std::vector<Id>& flat);
  Id compute_derivative(Id id, std::uint8_t byte);
  void classify(Dfa& dfa) const;  // bytes that no set tells apart

  Limits limits_;
  ByteSet alphabet_;
  std::vector<Node> nodes_;
  std::vector<Id> children_;
  std::vector<ByteSet> sets_;
  std::unordered_multimap<std::uint64_t, Id> known_;
  std::unordered_map<std::uint64_t, Id> derivatives_;
  std::uint64_t work_ = 0;
  bool spent_ = false;
};

}  // namespace corbel
