#include "corbel/text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "corbel/text/component.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Normalizer>>;

/// Canonical composition. Text between two stable characters is composed by itself, so that plain text costs one look.
class Nfc final : public Normalizer {
 public:
  Result<bool> normalize(std::string_view text, std::string& out) const override {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* stable = begin;  // start of the last stable character: what follows may join it
    const char* copied = begin;
    std::string composed;
    for (const char* at = begin; at < end;) {
      const Utf8Char c = utf8_at(at);
      if (!is_unstable(c.code)) {
        stable = at;
        at += c.bytes;
        continue;
      }
      const char* stop = at;
      while (stop < end) {
        const Utf8Char next = utf8_at(stop);
        if (!is_unstable(next.code)) break;
        stop += next.bytes;
      }
      composed.append(copied, stable);
      CORBEL_TRY(compose({stable, static_cast<std::size_t>(stop - stable)}, composed));
      copied = stable = at = stop;
    }
    if (copied == begin) return false;
    composed.append(copied, end);
    if (composed == text) return false;
    out = std::move(composed);
    return true;
  }

 private:
  static Result<void> compose(std::string_view text, std::string& out) {
    std::vector<utf8proc_int32_t> codes;
    codes.reserve(text.size());
    for (const char *at = text.data(), *end = at + text.size(); at < end;) {
      const Utf8Char c = utf8_at(at);
      at += c.bytes;
      utf8proc_int32_t parts[8];  // a canonical decomposition has at most 4
      int boundary = 0;
      const auto count =
          utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, 8,
                                  static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &boundary);
      if (count < 0 || count > 8) return fail(Code::bad_request, cat("cannot normalize U+", static_cast<int>(c.code)));
      codes.insert(codes.end(), parts, parts + count);
    }
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
    const auto length = utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (length < 0) return fail(Code::bad_request, cat("cannot normalize text: ", utf8proc_errmsg(length)));
    for (utf8proc_ssize_t i = 0; i < length; ++i)
      append_utf8(out, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
    return {};
  }
};

class SequenceNormalizer final : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<Normalizer>> stages) : stages_(std::move(stages)) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    bool changed = false;
    std::string current;
    for (const auto& stage : stages_) {
      std::string next;
      CORBEL_ASSIGN(const bool changes, stage->normalize(changed ? std::string_view(current) : text, next));
      if (!changes) continue;
      current = std::move(next);
      changed = true;
    }
    if (changed) out = std::move(current);
    return changed;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> stages_;
};

Made make_nfc(const JsonFields&) { return Made(std::make_unique<Nfc>()); }

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<Normalizer>(make_normalizer, fields, "normalizers"));
  return Made(std::make_unique<SequenceNormalizer>(std::move(stages)));
}

constexpr ComponentKind<Normalizer> kNormalizers[] = {{"NFC", make_nfc}, {"Sequence", make_sequence}};

}  // namespace

Made make_normalizer(const JsonFields& fields) { return make_component<Normalizer>(kNormalizers, fields); }

}  // namespace corbel
