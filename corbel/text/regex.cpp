#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "corbel/base/cat.h"
#include "corbel/text/pattern.h"
#include "corbel/text/regex_additions.h"
#include "corbel/text/regex_syntax.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxSourceBytes = 64 << 10;
constexpr std::uint32_t kMatchLimit = 10'000'000;  // backtracking steps of one match: about a tenth of a second
constexpr std::uint32_t kHeapLimitKb = 64 << 10;
constexpr std::size_t kJitStackBytes = 8 << 20;

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

/// What one sequence of matches needs. One thread at a time.
struct Regex::Matcher {
  explicit Matcher(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr)) {
    if (context == nullptr) return;
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKb);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  ~Matcher() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

/// The compiled expression, and a matcher that waits for the next caller.
struct Regex::Compiled {
  explicit Compiled(pcre2_code* made) : code(made) {}
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    delete spare.load(std::memory_order_acquire);
    pcre2_code_free(code);
  }
  std::unique_ptr<Matcher> take() {
    Matcher* found = spare.exchange(nullptr, std::memory_order_acquire);
    return found != nullptr ? std::unique_ptr<Matcher>(found) : std::make_unique<Matcher>(code);
  }
  void give_back(std::unique_ptr<Matcher> matcher) noexcept {
    Matcher* none = nullptr;
    if (spare.compare_exchange_strong(none, matcher.get(), std::memory_order_release, std::memory_order_relaxed)) {
      static_cast<void>(matcher.release());
    }
  }

  pcre2_code* code;
  std::atomic<Matcher*> spare = nullptr;
  std::array<std::uint8_t, 32> first_bytes{};  // a bit per byte that a match may start with
  bool any_first = true;                       // or any
};

Regex::Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(Code::bad_file, cat("a regex of ", source.size(), " bytes is longer than ", kMaxSourceBytes));
  }
  if (const std::size_t valid = valid_utf8_prefix(source); valid < source.size()) {
    return fail(Code::bad_file, cat("a regex is not UTF-8 at byte ", valid));
  }
  CORBEL_ASSIGN(const std::string spelled, to_pcre2(source));
  CORBEL_ASSIGN(const std::string spelled_late, to_pcre2(source, true));
  Regex regex;
  CORBEL_ASSIGN(regex.compiled_, compile_spelled(source, spelled));
  if (spelled_late != spelled) {
    CORBEL_ASSIGN(regex.compiled_late_, compile_spelled(source, spelled_late));
  }
  regex.source_ = source;
  return regex;
}

Result<std::unique_ptr<Regex::Compiled>> Regex::compile_spelled(std::string_view source, std::string_view spelled) {
  int error = 0;
  std::size_t where = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &where, nullptr);
  if (code == nullptr) {
    return fail(Code::bad_file,
                cat("the regex \"", source, "\" does not compile: ", pcre2_message(error), ", near byte ", where));
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, pcre2_match interprets
  auto compiled = std::make_unique<Compiled>(code);
  const std::uint8_t* first = nullptr;
  if (pcre2_pattern_info(code, PCRE2_INFO_FIRSTBITMAP, &first) == 0 && first != nullptr) {
    std::copy(first, first + compiled->first_bytes.size(), compiled->first_bytes.begin());
    compiled->any_first = false;
  }
  return compiled;
}

Result<void> Regex::each_match(std::string_view text, MatchSink found) const {
  Compiled& compiled = compiled_late_ != nullptr && regex_additions::found_in(text) ? *compiled_late_ : *compiled_;
  const auto may_start = [&compiled](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return ((compiled.first_bytes[byte / 8] >> (byte % 8)) & 1) != 0;
  };
  if (!compiled.any_first && std::ranges::none_of(text, may_start)) return {};
  std::unique_ptr<Matcher> matcher = compiled.take();
  if (matcher->data == nullptr || matcher->context == nullptr) {
    return fail(Code::no_memory, "no memory for matching a regex");
  }
  auto done = each_match_by(compiled, *matcher, text, found);
  compiled.give_back(std::move(matcher));
  return done;
}

Result<void> Regex::each_match_by(const Compiled& compiled, Matcher& matcher, std::string_view text,
                                  MatchSink found) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t at = 0;
  std::size_t last_end = text.size() + 1;  // none yet
  while (at <= text.size()) {
    const int rc =
        pcre2_match(compiled.code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, matcher.data, matcher.context);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      return fail(Code::bad_request, cat("the regex \"", source_, "\" gave up at byte ", at, " of ", text.size(), ": ",
                                         pcre2_message(rc)));
    }
    const std::size_t* range = pcre2_get_ovector_pointer(matcher.data);
    const std::size_t begin = range[0];
    const std::size_t end = range[1];
    if (end <= begin && (end < begin || end == last_end)) {
      if (at == text.size()) break;
      at += utf8_at(text.data() + at).bytes;
      continue;
    }
    at = last_end = end;
    found({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
  }
  return {};
}

}  // namespace corbel
