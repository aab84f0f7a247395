#include "corbel/text/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_interpreter.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

void append_hex(std::string& out, char32_t code, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out.push_back("0123456789abcdef"[(code >> shift) & 15]);
}

template <typename Map>
std::string map_characters(std::string_view text, Map&& map) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text.data() + at);
    at += c.bytes;
    map(c.code, out);
  }
  return out;
}

void append_upper(char32_t code, std::string& out) {
  if (code == 0xDF) {  // the one common letter whose upper case is two letters
    out += "SS";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_lower(char32_t code, std::string& out) {
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

std::string text_repr(std::string_view text) {
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  out += map_characters(text, [quote](char32_t code, std::string& to) {
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      to.push_back('\\');
      to.push_back(static_cast<char>(code));
    } else if (code == '\n' || code == '\r' || code == '\t') {
      to += code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t";
    } else if (is_printable(code)) {
      append_utf8(to, code);
    } else {
      to += code < 0x100 ? "\\x" : code < 0x10000 ? "\\u" : "\\U";
      append_hex(to, code, code < 0x100 ? 2 : code < 0x10000 ? 4 : 8);
    }
  });
  out.push_back(quote);
  return out;
}

std::string list_repr(const List& list) {
  std::string out;
  for (const Value& item : list.items) out += cat(out.empty() ? "" : ", ", to_repr(item));
  switch (list.kind) {
    case ListKind::list: return cat("[", out, "]");
    case ListKind::tuple: return cat("(", out, list.items.size() == 1 ? ",)" : ")");
    case ListKind::keys: return cat("dict_keys([", out, "])");
    case ListKind::values: return cat("dict_values([", out, "])");
    case ListKind::items: return cat("dict_items([", out, "])");
    case ListKind::generator: return "<generator object>";
    case ListKind::range: break;
  }
  const auto& [start, stop, step] = list.range;
  return step == 1 ? cat("range(", start, ", ", stop, ")") : cat("range(", start, ", ", stop, ", ", step, ")");
}

void append_json_text(std::string_view text, bool ascii, std::string& out) {
  out.push_back('"');
  out += map_characters(text, [ascii](char32_t code, std::string& to) {
    switch (code) {
      case '"': to += "\\\""; return;
      case '\\': to += "\\\\"; return;
      case '\n': to += "\\n"; return;
      case '\r': to += "\\r"; return;
      case '\t': to += "\\t"; return;
      case '\b': to += "\\b"; return;
      case '\f': to += "\\f"; return;
      default: break;
    }
    if (code < 0x20 || (ascii && code > 0x7E && code < 0x10000)) {
      if (code == 0x7F) return to.push_back(static_cast<char>(code));
      to += "\\u";
      append_hex(to, code, 4);
    } else if (ascii && code >= 0x10000) {
      to += "\\u";
      append_hex(to, 0xD800 + ((code - 0x10000) >> 10), 4);
      to += "\\u";
      append_hex(to, 0xDC00 + ((code - 0x10000) & 0x3FF), 4);
    } else {
      append_utf8(to, code);
    }
  });
  out.push_back('"');
}

std::string json_key(const Value& key) {
  if (key.is_text()) return key.text();
  if (key.is_none()) return "null";
  if (const auto* boolean = key.as<bool>()) return *boolean ? "true" : "false";
  if (key.is_number()) return to_text(key);
  raise(cat("keys of JSON must be strings, numbers, booleans or None, found '", type_name(key), "'"));
}

class JsonWriter {
 public:
  JsonWriter(Interpreter& interpreter, const JsonStyle& style) : interpreter_(interpreter), style_(style) {}

  void write(const Value& value, int level) {
    if (value.is_none()) {
      out_ += "null";
    } else if (const auto* boolean = value.as<bool>()) {
      out_ += *boolean ? "true" : "false";
    } else if (const auto* real = value.as<double>()) {
      out_ += std::isnan(*real) ? "NaN" : std::isinf(*real) ? (*real > 0 ? "Infinity" : "-Infinity") : real_repr(*real);
    } else if (value.is_number()) {
      out_ += cat(*value.to_integer());
    } else if (value.is_text()) {
      append_json_text(value.text(), style_.ascii, out_);
    } else if (const auto* dict = value.as<DictPtr>()) {
      write_dict(**dict, level);
    } else if (const auto* list = value.as<ListPtr>();
               list != nullptr && ((*list)->kind == ListKind::list || (*list)->kind == ListKind::tuple)) {
      write_list(**list, level);
    } else {
      raise(cat("a value of type '", type_name(value), "' has no JSON form"));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void separate(bool first, int level) {
    if (!first) out_ += style_.item_separator;
    if (style_.indent != nullptr) line(level);
  }
  void line(int level) {
    out_.push_back('\n');
    interpreter_.charge(static_cast<std::size_t>(level) * style_.indent->size());
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
  }

  void write_list(const List& list, int level) {
    out_.push_back('[');
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      separate(i == 0, level + 1);
      write(list.items[i], level + 1);
    }
    if (style_.indent != nullptr && !list.items.empty()) line(level);
    out_.push_back(']');
  }

  void write_dict(const Dict& dict, int level) {
    std::vector<std::pair<const Value*, const Value*>> sorted;
    for (const auto& [key, value] : dict.items) sorted.emplace_back(&key, &value);
    if (style_.sort_keys) {
      std::stable_sort(sorted.begin(), sorted.end(),
                       [](const auto& a, const auto& b) { return less(*a.first, *b.first); });
    }
    std::vector<std::pair<std::string, const Value*>> entries;
    for (const auto& [key, value] : sorted) entries.emplace_back(json_key(*key), value);
    out_.push_back('{');
    for (std::size_t i = 0; i < entries.size(); ++i) {
      separate(i == 0, level + 1);
      append_json_text(entries[i].first, style_.ascii, out_);
      out_ += style_.key_separator;
      write(*entries[i].second, level + 1);
    }
    if (style_.indent != nullptr && !entries.empty()) line(level);
    out_.push_back('}');
  }

  Interpreter& interpreter_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::size_t count_characters(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::vector<std::string> characters(std::string_view text) {
  constexpr std::size_t kMostBytes = 4 << 20;  // each character takes 32 bytes here
  if (text.size() > kMostBytes)
    raise(cat("a text of ", text.size(), " bytes is too big to be taken apart; the limit is ", kMostBytes));
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t bytes = utf8_at(text.data() + at).bytes;
    out.emplace_back(text.substr(at, bytes));
    at += bytes;
  }
  return out;
}

std::string to_upper(std::string_view text) { return map_characters(text, append_upper); }
std::string to_lower(std::string_view text) { return map_characters(text, append_lower); }

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const std::uint32_t first = utf8_at(text.data()).bytes;
  return to_upper(text.substr(0, first)) + to_lower(text.substr(first));
}

bool is_printable(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return code == ' ';
    default: return true;
  }
}

std::int64_t checked_width(std::int64_t width) {
  constexpr std::int64_t kMaxWidth = 10000;
  if (width > kMaxWidth) raise(cat("a width is ", width, "; the limit is ", kMaxWidth));
  return std::max<std::int64_t>(width, 0);
}

std::string_view strip(std::string_view text, const std::string* chars, Side side) {
  const auto strips = [chars](const char* at, std::uint32_t bytes, char32_t code) {
    // Python's white space has the four separators 0x1C to 0x1F besides the White_Space property.
    if (chars == nullptr) return is_space(code) || (code >= 0x1C && code <= 0x1F);
    return chars->find(std::string_view(at, bytes)) != std::string::npos;
  };
  while (side != Side::right && !text.empty()) {
    const Utf8Char c = utf8_at(text.data());
    if (!strips(text.data(), c.bytes, c.code)) break;
    text.remove_prefix(c.bytes);
  }
  while (side != Side::left && !text.empty()) {
    const Utf8Char c = utf8_before(text.data() + text.size());
    if (!strips(text.data() + text.size() - c.bytes, c.bytes, c.code)) break;
    text.remove_suffix(c.bytes);
  }
  return text;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text.data() + at);
    const bool ends = (c.code >= 0xA && c.code <= 0xD) || (c.code >= 0x1C && c.code <= 0x1E) || c.code == 0x85 ||
                      c.code == 0x2028 || c.code == 0x2029;
    const std::size_t end = at;
    at += c.bytes;
    if (c.code == '\r' && at < text.size() && text[at] == '\n') ++at;
    if (!ends) continue;
    if (lines.size() > (1U << 20)) raise("a text has too many lines; the limit is a million");
    lines.emplace_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[400];
  // Python's repr: shortest digits; an exponent below 1e-4 and from 1e16 on.
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  std::string out(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr);
  if (!scientific && out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string to_text(const Value& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return {};
  return to_repr(value);
}

std::string to_repr(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (const auto* boolean = value.as<bool>()) return *boolean ? "True" : "False";
  if (const auto* real = value.as<double>()) return real_repr(*real);
  if (value.is_number()) return cat(*value.to_integer());
  if (value.is_text()) return value.safe() ? cat("Markup(", text_repr(value.text()), ")") : text_repr(value.text());
  if (const auto* list = value.as<ListPtr>()) return list_repr(**list);
  if (const auto* object = value.as<ObjectPtr>()) return (*object)->describe();
  std::string out;
  for (const auto& [key, held] : (*value.as<DictPtr>())->items) {
    out += cat(out.empty() ? "" : ", ", to_repr(key), ": ", to_repr(held));
  }
  return cat("{", out, "}");
}

std::string to_json_text(Interpreter& interpreter, const Value& value, const JsonStyle& style) {
  JsonWriter writer(interpreter, style);
  writer.write(value, 0);
  return writer.take();
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out.push_back(c);
    }
  }
  return out;
}

}  // namespace corbel::jinja
