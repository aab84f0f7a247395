#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/text/splitter.h"

namespace corbel {

/// Bytes [begin, end) of a text.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

/// Refers to what is to be called for every match; valid as long as the callable it was made from.
class MatchSink {
 public:
  template <typename Callable>
    requires(!std::is_same_v<std::remove_cvref_t<Callable>, MatchSink>)
  MatchSink(Callable&& callable)  // NOLINT(google-explicit-constructor): callers pass lambdas
      : object_(const_cast<void*>(static_cast<const void*>(&callable))),
        call_([](void* object, Span match) { (*static_cast<std::remove_reference_t<Callable>*>(object))(match); }) {}
  void operator()(Span match) const { call_(object_, match); }

 private:
  void* object_;
  void (*call_)(void* object, Span match);
};

/// A compiled regular expression, as tokenizer files carry them: Unicode aware, in Oniguruma's Ruby syntax
/// (regex_syntax.h): `\s` is White_Space, `^` and `$` match at lines. Compiled to machine code where the machine allows
/// it. Any thread may match.
class Regex {
 public:
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Refuses what does not compile, naming the expression and the place, and expressions beyond 64 KB.
  static Result<Regex> compile(std::string_view source);

  /// Calls `found(match)` for every match in order. Empty matches at the end of the previous match are skipped. Fails
  /// when the expression needs more steps than its limit. REQUIRES: valid UTF-8.
  Result<void> each_match(std::string_view text, MatchSink found) const;

  const std::string& source() const noexcept { return source_; }

 private:
  struct Matcher;
  struct Compiled;
  Regex();
  static Result<std::unique_ptr<Compiled>> compile_spelled(std::string_view source, std::string_view spelled);
  Result<void> each_match_by(const Compiled& compiled, Matcher& matcher, std::string_view text, MatchSink found) const;

  std::unique_ptr<Compiled> compiled_;
  std::unique_ptr<Compiled> compiled_late_;  // for texts with characters PCRE2's Unicode lacks; none: as compiled_
  std::string source_;
};

/// What to do with matches and with what lies between them. Names as in tokenizer files: "Removed", "Isolated",
/// "MergedWithPrevious", "MergedWithNext", "Contiguous".
enum class SplitBehavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
Result<SplitBehavior> parse_split_behavior(std::string_view name, std::string_view field);

/// What a pre-tokenizer looks for: a hand-written splitter, a regex, a literal, or characters with a trait.
class Pattern {
 public:
  using CharTest = bool (*)(char32_t) noexcept;

  static Result<Pattern> from_regex(std::string_view source);
  static Pattern from_literal(std::string literal) { return Pattern(std::move(literal)); }
  static Pattern from_chars(CharTest test) { return Pattern(test); }

  /// Appends the pieces of `text` (offsets plus `base`) to `pieces`; empty ones are left out. `invert`: matches count
  /// as what lies between, and the other way round.
  Result<void> split(std::string_view text, std::uint32_t base, SplitBehavior behavior, bool invert,
                     std::vector<Span>& pieces) const;

 private:
  using What = std::variant<Splitter, std::shared_ptr<const Regex>, std::string, CharTest>;
  explicit Pattern(What what) : what_(std::move(what)) {}
  Result<void> each_match(std::string_view text, MatchSink found) const;

  What what_;
};

}  // namespace corbel
