#include "corbel/grammar/number_range.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "corbel/grammar/json_text.h"

namespace corbel {
namespace {

constexpr std::size_t kDoubleDigits = 15;  // decimals of so many digits are different doubles
constexpr double kInfinite = std::numeric_limits<double>::infinity();

int compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole); order != 0) return order;
  return a.fraction.compare(b.fraction);
}

/// Languages of magnitudes: canonical decimals without a sign.
class Magnitudes {
 public:
  Magnitudes(Regular& regular, std::uint32_t fraction_digits) : r_(regular) {
    digits_ = r_.star(digit('0', '9'));
    fraction_ = fraction_digits == 0
                    ? r_.epsilon()
                    : r_.optional(r_.concat(r_.literal("."), r_.repeat(digit('0', '9'), 1, fraction_digits)));
    const Regular::Id whole =
        r_.either({r_.literal("0"), r_.concat(digit('1', '9'), r_.repeat(digit('0', '9'), 0, kMaxDigits - 1))});
    all_ = r_.concat(whole, fraction_);
  }

  Regular::Id all() const { return all_; }
  Regular::Id nonzero() {
    return r_.difference(all_,
                         r_.concat(r_.literal("0"), r_.optional(r_.concat(r_.literal("."), r_.star(r_.literal("0"))))));
  }

  Regular::Id at_least(const NumberBounds::Bound& bound) {
    const std::string& whole = bound.value.whole;
    const auto n = static_cast<std::uint32_t>(whole.size());
    Regular::Id id = fraction_at_least(bound);
    for (std::uint32_t i = n; i-- > 0;) {
      const Regular::Id greater = r_.concat({above(whole[i]), exactly(n - i - 1), fraction_});
      id = r_.either({greater, r_.concat(r_.literal(whole.substr(i, 1)), id)});
    }
    const Regular::Id longer = r_.concat({digit('1', '9'), r_.repeat(digit('0', '9'), n), fraction_});
    return r_.both(all_, r_.either({id, longer}));
  }

  Regular::Id at_most(const NumberBounds::Bound& bound) {
    const std::string& whole = bound.value.whole;
    const auto n = static_cast<std::uint32_t>(whole.size());
    Regular::Id id = fraction_at_most(bound);
    for (std::uint32_t i = n; i-- > 0;) {
      const char lowest = i == 0 && n > 1 ? '1' : '0';
      const Regular::Id less = r_.concat({below(lowest, whole[i]), exactly(n - i - 1), fraction_});
      id = r_.either({less, r_.concat(r_.literal(whole.substr(i, 1)), id)});
    }
    if (n > 1) {
      const Regular::Id shorter = r_.concat(digit('1', '9'), r_.repeat(digit('0', '9'), 0, n - 2));
      id = r_.either({id, r_.concat(r_.either({r_.literal("0"), shorter}), fraction_)});
    }
    return r_.both(all_, id);
  }

 private:
  Regular::Id digit(char low, char high) {
    return r_.byte_range(static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high));
  }
  Regular::Id above(char c) { return c == '9' ? r_.nothing() : digit(static_cast<char>(c + 1), '9'); }
  Regular::Id below(char low, char c) { return c <= low ? r_.nothing() : digit(low, static_cast<char>(c - 1)); }
  Regular::Id exactly(std::uint32_t count) { return r_.repeat(digit('0', '9'), count, count); }
  Regular::Id some_nonzero() { return r_.concat({digits_, digit('1', '9'), digits_}); }

  Regular::Id fraction_at_least(const NumberBounds::Bound& bound) {
    const std::string& fraction = bound.value.fraction;
    if (fraction.empty() && !bound.exclusive) return fraction_;
    Regular::Id id = bound.exclusive ? some_nonzero() : digits_;
    for (std::size_t j = fraction.size(); j-- > 0;) {
      id = r_.either({r_.concat(above(fraction[j]), digits_), r_.concat(r_.literal(fraction.substr(j, 1)), id)});
    }
    return r_.concat(r_.literal("."), id);
  }

  Regular::Id fraction_at_most(const NumberBounds::Bound& bound) {
    const std::string& fraction = bound.value.fraction;
    const Regular::Id zeros = r_.star(r_.literal("0"));
    if (fraction.empty()) {
      return bound.exclusive ? r_.nothing() : r_.optional(r_.concat({r_.literal("."), r_.literal("0"), zeros}));
    }
    Regular::Id rest = bound.exclusive ? r_.nothing() : zeros;
    Regular::Id id = r_.nothing();
    for (std::size_t j = fraction.size(); j-- > 0;) {
      id = r_.either({r_.concat(below('0', fraction[j]), digits_), r_.concat(r_.literal(fraction.substr(j, 1)), rest)});
      rest = r_.optional(id);
    }
    return r_.optional(r_.concat(r_.literal("."), id));
  }

  Regular& r_;
  Regular::Id digits_ = 0;
  Regular::Id fraction_ = 0;
  Regular::Id all_ = 0;
};

std::uint32_t fraction_digits(const NumberBounds& bounds) {
  std::size_t whole = 1;
  std::size_t needed = 1;
  for (const auto& bound : {bounds.low, bounds.high}) {
    if (!bound) continue;
    whole = std::max(whole, bound->value.whole.size());
    needed = std::max(needed, bound->value.fraction.size() + 1);
  }
  const std::size_t apart = whole < kDoubleDigits ? kDoubleDigits - whole : 1;
  return static_cast<std::uint32_t>(std::max(apart, needed));
}

double nearest_double(const Decimal& value) {
  const std::string text = cat(value.negative ? "-" : "", value.whole, ".", value.fraction, "0");
  double number = 0.0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Who reads a number as a double sees `bound` itself in a text that lies just behind it. So an exclusive bound that
/// texts of `digits` decimals come so near to, or a whole one that is no double, gives way to the next double inside:
/// rounding keeps the order of numbers, and what is not below that double in decimals is not in doubles either.
void move_inside(std::optional<NumberBounds::Bound>& bound, std::uint32_t digits, double inside) {
  if (!bound || bound->value.zero() || bound->value.whole.size() + digits <= kDoubleDigits) return;
  const double number = nearest_double(bound->value);
  const int order = compare(Decimal::of(number), bound->value);
  const bool outside = inside > 0 ? order < 0 : order > 0;
  if (!bound->exclusive && !outside) return;
  bound = NumberBounds::Bound{Decimal::of(std::nextafter(number, inside)), false};
}

}  // namespace

Decimal Decimal::of(const Json& number) {
  std::string text;
  if (number.is_number_float()) {
    char digits[400];
    const auto end = std::to_chars(digits, digits + sizeof digits, number.get<double>(), std::chars_format::fixed).ptr;
    text.assign(digits, end);
  } else {
    text = number.dump();
  }
  Decimal out;
  out.negative = text[0] == '-';
  if (out.negative) text.erase(0, 1);
  const std::size_t point = std::min(text.find('.'), text.size());
  out.whole = text.substr(0, point);
  if (point < text.size()) out.fraction = text.substr(point + 1);
  while (!out.fraction.empty() && out.fraction.back() == '0') out.fraction.pop_back();
  if (out.zero()) out.negative = false;
  return out;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

void NumberBounds::raise_low(const Decimal& value, bool exclusive) {
  const int order = low ? compare(value, low->value) : 1;
  if (order > 0) low = Bound{value, exclusive};
  if (order == 0) low->exclusive = low->exclusive || exclusive;
}

void NumberBounds::lower_high(const Decimal& value, bool exclusive) {
  const int order = high ? compare(value, high->value) : -1;
  if (order < 0) high = Bound{value, exclusive};
  if (order == 0) high->exclusive = high->exclusive || exclusive;
}

Regular::Id number_in(Regular& regular, const NumberBounds& bounds, NumberKind kind) {
  const std::uint32_t digits = kind == NumberKind::whole ? 0 : fraction_digits(bounds);
  Magnitudes magnitudes(regular, digits);
  auto low = bounds.low;
  auto high = bounds.high;
  if (kind == NumberKind::any) {
    move_inside(low, digits, kInfinite);
    move_inside(high, digits, -kInfinite);
  }
  Regular::Id positive = high && high->value.negative ? regular.nothing() : magnitudes.all();
  if (low && !low->value.negative) positive = regular.both(positive, magnitudes.at_least(*low));
  if (high && !high->value.negative) positive = regular.both(positive, magnitudes.at_most(*high));
  Regular::Id negative = low && !low->value.negative ? regular.nothing() : magnitudes.nonzero();
  if (low && low->value.negative) negative = regular.both(negative, magnitudes.at_most(*low));
  if (high && high->value.negative) negative = regular.both(negative, magnitudes.at_least(*high));
  return regular.either({positive, regular.concat(regular.literal("-"), negative)});
}

Result<Dfa> multiples_of(const Decimal& divisor, std::uint32_t max_states) {
  const auto places = static_cast<std::uint32_t>(divisor.fraction.size());
  std::uint64_t modulus = 0;
  for (const char c : divisor.whole + divisor.fraction) {
    modulus = modulus * 10 + static_cast<std::uint64_t>(c - '0');
    if (modulus * (places + 2) > max_states) {
      return fail(Code::bad_request,
                  cat("divisors whose digits make more than ", max_states / (places + 2), " are not supported"));
    }
  }
  // States: 0 start, 1 after "-", 2 after "0", then [position 0..places][remainder]; position 0 is the whole part.
  Dfa dfa;
  dfa.classes = 13;  // 0-9, '-', '.', others
  dfa.class_of.fill(12);
  for (unsigned d = 0; d < 10; ++d) dfa.class_of['0' + d] = static_cast<std::uint8_t>(d);
  dfa.class_of['-'] = 10;
  dfa.class_of['.'] = 11;
  const auto m = static_cast<std::uint32_t>(modulus);
  const std::uint32_t points = 3 + (places + 1) * m;  // [remainder]: just after the point
  const auto place = [&](std::uint32_t position, std::uint64_t rest) {
    return 3 + position * m + static_cast<std::uint32_t>(rest);
  };
  const std::uint32_t states = points + (places > 0 ? m : 0);
  dfa.next.assign(static_cast<std::size_t>(states) * 13, Dfa::kDead);
  dfa.accepts.assign(states, 0);
  const auto set = [&dfa](std::uint32_t from, std::uint32_t c, std::uint32_t to) { dfa.next[from * 13 + c] = to; };
  for (std::uint32_t from : {0U, 1U}) {
    set(from, 0, 2);
    for (std::uint32_t d = 1; d < 10; ++d) set(from, d, place(0, d % modulus));
  }
  set(0, 10, 1);
  dfa.accepts[2] = 1;
  if (places > 0) set(2, 11, points);
  for (std::uint64_t rest = 0; rest < modulus; ++rest) {
    for (std::uint32_t position = 0; position <= places; ++position) {
      std::uint64_t scaled = rest;
      for (std::uint32_t i = position; i < places; ++i) scaled = scaled * 10 % modulus;
      dfa.accepts[place(position, rest)] = scaled == 0 ? 1 : 0;
      for (std::uint32_t d = 0; d < 10; ++d) {
        const std::uint64_t next = (rest * 10 + d) % modulus;
        if (position == 0) set(place(0, rest), d, place(0, next));
        if (position > 0 && position < places) set(place(position, rest), d, place(position + 1, next));
      }
    }
    if (places == 0) continue;
    set(place(0, rest), 11, points + static_cast<std::uint32_t>(rest));
    for (std::uint32_t d = 0; d < 10; ++d)
      set(points + static_cast<std::uint32_t>(rest), d, place(1, (rest * 10 + d) % modulus));
  }
  tidy(dfa);
  return dfa;
}

Result<Dfa> intersect(const Dfa& a, const Dfa& b, std::uint32_t max_states, std::uint64_t& cells) {
  Dfa out;
  if (a.empty() || b.empty()) return out;
  std::array<int, 256 * 256> renamed;
  renamed.fill(-1);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> classes;
  for (unsigned byte = 0; byte < 256; ++byte) {
    int& name = renamed[a.class_of[byte] * 256U + b.class_of[byte]];
    if (name < 0) {
      name = static_cast<int>(classes.size());
      classes.emplace_back(a.class_of[byte], b.class_of[byte]);
    }
    out.class_of[byte] = static_cast<std::uint8_t>(name);
  }
  out.classes = static_cast<std::uint32_t>(classes.size());
  std::unordered_map<std::uint64_t, std::uint32_t> known{{0, 0}};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> order{{0, 0}};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [p, q] = order[i];
    out.accepts.push_back(a.accepts[p] & b.accepts[q]);
    cells += classes.size();
    for (const auto& [ca, cb] : classes) {
      const std::uint32_t to_a = a.next[p * a.classes + ca];
      const std::uint32_t to_b = b.next[q * b.classes + cb];
      if (to_a == Dfa::kDead || to_b == Dfa::kDead) {
        out.next.push_back(Dfa::kDead);
        continue;
      }
      const auto [at, fresh] =
          known.emplace((std::uint64_t{to_a} << 32) | to_b, static_cast<std::uint32_t>(order.size()));
      if (fresh) order.emplace_back(to_a, to_b);
      out.next.push_back(at->second);
    }
    if (order.size() > max_states)
      return fail(Code::bad_request, cat("it needs more than ", max_states, " states; use simpler bounds"));
  }
  tidy(out);
  return out;
}

}  // namespace corbel
