#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "corbel/base/cat.h"
#include "corbel/text/normalizer_stages.h"
#include "corbel/text/precompiled_charsmap.h"
#include "corbel/text/stage_chars.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Normalizer>>;

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding. False where `text` is anything else.
bool decode_base64(std::string_view text, std::string& out) {
  std::array<std::int8_t, 256> value{};
  value.fill(-1);
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    value[static_cast<std::uint8_t>(kDigits[i])] = static_cast<std::int8_t>(i);
  }
  if (text.size() % 4 != 0) return false;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  out.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int digit = value[static_cast<std::uint8_t>(c)];
    if (digit < 0) return false;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return (bits & ((1U << count) - 1)) == 0;  // what padding cuts off must be zero
}

constexpr char32_t kExtender = 0x301;  // stands for marks that utf8proc does not know

/// Bytes of the extended grapheme cluster at the front. A cluster's end does not depend on what stands before it.
std::size_t cluster_bytes(std::string_view text) {
  Utf8Char c = utf8_at(text.data());
  std::size_t at = c.bytes;
  utf8proc_int32_t state = 0;
  while (at < text.size()) {
    Utf8Char next = utf8_at(text.data() + at);
    if (stage_chars::is_late_extender(next.code)) next.code = kExtender;
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    c = next;
    at += c.bytes;
  }
  return at;
}

class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(PrecompiledCharsmap map) : map_(std::move(map)) {}

  Result<bool> normalize(std::string_view text, std::string& out) const override {
    std::string made;
    std::size_t copied = 0;
    bool changed = false;
    const auto replace = [&](std::size_t at, std::size_t bytes, std::string_view by) {
      made.append(text, copied, at - copied);
      made.append(by);
      copied = at + bytes;
      changed = true;
    };
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = at + unit_bytes(text.substr(at));
      // A short cluster is replaced as a whole by its first (shortest) entry, as the library does; else by characters.
      if (end - at < kShortCluster) {
        const auto match = find(text.substr(at, end - at));
        if (match.bytes > 0) {
          replace(at, end - at, match.replacement);
          at = end;
        }
      }
      while (at < end) {
        const std::size_t bytes = utf8_at(text.data() + at).bytes;
        const auto match = find(text.substr(at, bytes));
        if (match.bytes > 0) replace(at, bytes, match.replacement);
        at += bytes;
      }
    }
    if (!changed) return false;
    made.append(text, copied, text.size() - copied);
    out = std::move(made);
    return true;
  }

 private:
  static constexpr std::size_t kShortCluster = 6;

  static std::size_t unit_bytes(std::string_view text) {
    const auto is_ascii = [](char byte) { return (byte & 0x80) == 0; };
    if (text.size() == 1 || (is_ascii(text[0]) && is_ascii(text[1]) && !text.starts_with("\r\n"))) return 1;
    return cluster_bytes(text);
  }
  PrecompiledCharsmap::Match find(std::string_view text) const noexcept {
    return map_.may_start(text[0]) ? map_.shortest_prefix(text) : PrecompiledCharsmap::Match{};
  }

  PrecompiledCharsmap map_;
};

}  // namespace

Made make_precompiled_normalizer(const JsonFields& fields) {
  CORBEL_ASSIGN(const std::string spelled, fields.require_string("precompiled_charsmap"));
  const std::string place = cat(fields.source(), ": \"", fields.field_name("precompiled_charsmap"), "\"");
  std::string blob;
  if (!decode_base64(spelled, blob)) return fail(Code::bad_file, cat(place, " is not base64"));
  auto map = PrecompiledCharsmap::parse(blob);
  if (!map) return forward_failure(map, place);
  return Made(std::make_unique<Precompiled>(*std::move(map)));
}

}  // namespace corbel
