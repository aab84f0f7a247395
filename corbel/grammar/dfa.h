#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corbel {

/// A deterministic automaton over bytes, state 0 first. From every state some text ends; the empty language has no
/// states.
struct Dfa {
  static constexpr std::uint32_t kDead = UINT32_MAX;

  std::array<std::uint8_t, 256> class_of{};  // bytes that no state tells apart share a class
  std::uint32_t classes = 1;                 // at most 256
  std::vector<std::uint32_t> next;           // [states, classes]
  std::vector<std::uint8_t> accepts;         // [states]

  std::uint32_t states() const { return static_cast<std::uint32_t>(accepts.size()); }
  bool empty() const { return accepts.empty(); }
  std::uint32_t step(std::uint32_t state, std::uint8_t byte) const { return next[state * classes + class_of[byte]]; }
  bool has_exit(std::uint32_t state) const;  // is there a way on from `state`?
  bool matches(std::string_view text) const;
  std::uint64_t hash() const;
  friend bool operator==(const Dfa&, const Dfa&) = default;
};

/// Takes out states that cannot be reached or from which nothing ends, joins equal states of small tables, and joins
/// classes that no state tells apart any more.
void tidy(Dfa& dfa);

/// The table of a list of texts. Work and states are linear in their bytes.
Dfa dfa_of_literals(std::vector<std::string> texts);

}  // namespace corbel
