#include <utf8proc.h>

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/normalizer_stages.h"
#include "corbel/text/stage_chars.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Normalizer>>;

struct Form {
  bool compatibility;  // K
  bool composed;       // C
};

/// The four normalization forms. Text between two stable characters is done by itself, so that plain text costs one
/// look.
class FormNormalizer final : public Normalizer {
 public:
  explicit FormNormalizer(Form form) : form_(form) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* stable = begin;  // start of the last stable character: what follows may join it
    const char* copied = begin;
    std::string made;
    for (const char* at = begin; at < end;) {
      const Utf8Char c = utf8_at(at);
      if (!may_change(c.code)) {
        stable = at;
        at += c.bytes;
        continue;
      }
      const char* stop = at;
      while (stop < end) {
        const Utf8Char next = utf8_at(stop);
        if (!may_change(next.code)) break;
        stop += next.bytes;
      }
      made.append(copied, stable);
      CORBEL_TRY(rewrite({stable, static_cast<std::size_t>(stop - stable)}, made));
      copied = stable = at = stop;
    }
    if (copied == begin) return false;
    made.append(copied, end);
    if (made == text) return false;
    out = std::move(made);
    return true;
  }

 private:
  using Codes = std::vector<utf8proc_int32_t>;

  bool may_change(char32_t code) const noexcept {
    if (code < 0x80 || (code >= 0x4E00 && code < 0xA000)) return false;  // ASCII and unified ideographs: in no form
    return !form_.composed || form_.compatibility || is_unstable(code);
  }

  Result<void> rewrite(std::string_view text, std::string& out) const {
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                        (form_.compatibility ? UTF8PROC_COMPAT : 0));
    Codes codes;
    codes.reserve(text.size());
    for (const char *at = text.data(), *end = at + text.size(); at < end;) {
      const Utf8Char c = utf8_at(at);
      at += c.bytes;
      if (stage_chars::is_late_for_forms(c.code)) {
        CORBEL_TRY(finish(codes, out));
        append_utf8(out, c.code);
        continue;
      }
      utf8proc_int32_t parts[32];  // the longest decomposition has 18
      int boundary = 0;
      const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, 32, options, &boundary);
      if (count < 0 || count > 32) return fail(Code::bad_request, cat("cannot normalize U+", static_cast<int>(c.code)));
      codes.insert(codes.end(), parts, parts + count);
    }
    return finish(codes, out);
  }

  /// Orders the marks, composes where the form says so, and appends.
  Result<void> finish(Codes& codes, std::string& out) const {
    // Our own stable sort of marks: utf8proc's is quadratic in a long run of them.
    const auto mark_class = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
    for (auto first = codes.begin(); first != codes.end();) {
      if (mark_class(*first) == 0) {
        ++first;
        continue;
      }
      const auto last = std::find_if(first, codes.end(), [&](utf8proc_int32_t code) { return mark_class(code) == 0; });
      std::stable_sort(first, last,
                       [&](utf8proc_int32_t a, utf8proc_int32_t b) { return mark_class(a) < mark_class(b); });
      first = last;
    }
    auto length = static_cast<utf8proc_ssize_t>(codes.size());
    if (form_.composed) {
      length = utf8proc_normalize_utf32(codes.data(), length,
                                        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
      if (length < 0) return fail(Code::bad_request, cat("cannot normalize text: ", utf8proc_errmsg(length)));
    }
    for (utf8proc_ssize_t i = 0; i < length; ++i) {
      append_utf8(out, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
    }
    codes.clear();
    return {};
  }

  Form form_;
};

Made make_form(Form form) { return Made(std::make_unique<FormNormalizer>(form)); }

}  // namespace

Made make_nfc_normalizer(const JsonFields&) { return make_form({.compatibility = false, .composed = true}); }
Made make_nfd_normalizer(const JsonFields&) { return make_form({.compatibility = false, .composed = false}); }
Made make_nfkc_normalizer(const JsonFields&) { return make_form({.compatibility = true, .composed = true}); }
Made make_nfkd_normalizer(const JsonFields&) { return make_form({.compatibility = true, .composed = false}); }

}  // namespace corbel
