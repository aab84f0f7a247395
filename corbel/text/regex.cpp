#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "corbel/base/cat.h"
#include "corbel/text/pattern.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxSourceBytes = 64 << 10;
constexpr std::uint32_t kMatchLimit = 10'000'000;  // backtracking steps of one match: about a tenth of a second
constexpr std::uint32_t kHeapLimitKb = 64 << 10;
constexpr std::size_t kJitStackBytes = 8 << 20;

// White_Space spelled out: PCRE2's own \s also takes U+180E.
constexpr std::string_view kSpaceClass =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

/// Spells out \s and \S; \S inside a class stays PCRE2's (it cannot be spelled as a part of a class).
std::string with_white_space(std::string_view source) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const char c = source[i];
    if (c != '\\' || i + 1 == source.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      out.push_back(c);
      continue;
    }
    const char escaped = source[++i];
    if (escaped == 's') {
      out += in_class ? std::string(kSpaceClass) : cat("[", kSpaceClass, "]");
    } else if (escaped == 'S' && !in_class) {
      out += cat("[^", kSpaceClass, "]");
    } else {
      out.push_back(c);
      out.push_back(escaped);
    }
  }
  return out;
}

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// What one sequence of matches needs; made anew per call so that threads share nothing.
struct MatchState {
  explicit MatchState(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr)) {
    if (context == nullptr) return;
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKb);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

}  // namespace

void Regex::FreeCode::operator()(void* code) const noexcept { pcre2_code_free(static_cast<pcre2_code*>(code)); }

Result<Regex> Regex::compile(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return fail(Code::bad_file, cat("a regex of ", source.size(), " bytes is longer than ", kMaxSourceBytes));
  }
  if (const std::size_t valid = valid_utf8_prefix(source); valid < source.size()) {
    return fail(Code::bad_file, cat("a regex is not UTF-8 at byte ", valid));
  }
  const std::string spelled = with_white_space(source);
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
  Regex regex;
  regex.code_.reset(code);
  regex.source_ = source;
  return regex;
}

Result<void> Regex::each_match(std::string_view text, const std::function<void(Span)>& found) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const MatchState state(code);
  if (state.data == nullptr || state.context == nullptr) {
    return fail(Code::no_memory, "no memory for matching a regex");
  }
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t at = 0;
  std::size_t last_end = text.size() + 1;  // none yet
  while (at <= text.size()) {
    const int rc = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, state.data, state.context);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      return fail(Code::bad_request, cat("the regex \"", source_, "\" gave up at byte ", at, " of ", text.size(), ": ",
                                         pcre2_message(rc)));
    }
    const std::size_t* range = pcre2_get_ovector_pointer(state.data);
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
