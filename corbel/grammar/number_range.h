#pragma once
#include <optional>
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/grammar/dfa.h"
#include "corbel/grammar/regular.h"

/// Numbers between bounds, and multiples, as the languages of their decimal texts.
namespace corbel {

/// A finite decimal, exactly as its shortest text says.
struct Decimal {
  bool negative = false;
  std::string whole = "0";  // no zeros in front
  std::string fraction;     // no zeros behind

  static Decimal of(const Json& number);
  bool zero() const { return whole == "0" && fraction.empty(); }
};
int compare(const Decimal& a, const Decimal& b);  // < 0, 0, > 0

struct NumberBounds {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  std::optional<Bound> low;
  std::optional<Bound> high;

  void raise_low(const Decimal& value, bool exclusive);
  void lower_high(const Decimal& value, bool exclusive);
};

/// Numbers within the bounds, without exponent and without -0; whole ones only as `whole` says. Fractions have as many
/// digits as a double tells apart near the bounds. REQUIRES: bounds of at most kMaxDigits whole digits.
enum class NumberKind { any, whole };
Regular::Id number_in(Regular& regular, const NumberBounds& bounds, NumberKind kind);

/// Multiples of a positive `divisor`, without exponent. Refuses a divisor that needs more than `max_states` states.
Result<Dfa> multiples_of(const Decimal& divisor, std::uint32_t max_states);

/// The texts of both; refuses more than `max_states` states. `cells` grows by the transitions that were looked at.
Result<Dfa> intersect(const Dfa& a, const Dfa& b, std::uint32_t max_states, std::uint64_t& cells);

}  // namespace corbel
