#include <array>
#include <cstdio>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_filters.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

Value safe(Interpreter&, const Value& input, CallArgs&) { return Value::text(to_text(input), true); }
Value escape(Interpreter& interpreter, const Value& input, CallArgs&) {
  return input.safe() ? input : interpreter.make_text(escape_html(to_text(input)), true);
}
Value force_escape(Interpreter& interpreter, const Value& input, CallArgs&) {
  return interpreter.make_text(escape_html(to_text(input)), true);
}

/// Without what stands between `open` and `close`, looked for from the beginning each time.
void remove_between(Interpreter& interpreter, std::string& text, std::string_view open, std::string_view close) {
  for (std::size_t begin = text.find(open); begin != std::string::npos; begin = text.find(open)) {
    const std::size_t end = text.find(close, begin);
    if (end == std::string::npos) return;
    interpreter.charge(text.size());
    text.erase(begin, end + close.size() - begin);
  }
}

/// The characters that HTML's escapes stand for: numbers, and the names that people meet.
std::string unescaped(std::string_view text) {
  struct Named {
    std::string_view name;
    std::string_view text;
  };
  static constexpr std::array<Named, 6> kNames = {
      {{"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"apos;", "'"}, {"nbsp;", "\xc2\xa0"}}};
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at + 1);
    const Named* found = nullptr;
    if (text[at] == '&') {
      for (const Named& named : kNames) {
        if (rest.starts_with(named.name)) found = &named;
      }
    }
    unsigned code = 0;
    int taken = 0;
    if (found != nullptr) {
      out += found->text;
      at += 1 + found->name.size();
    } else if (text[at] == '&' &&
               (std::sscanf(std::string(rest.substr(0, 12)).c_str(), "#%7u;%n", &code, &taken) == 1 ||
                std::sscanf(std::string(rest.substr(0, 12)).c_str(), "#%*1[xX]%7x;%n", &code, &taken) == 1) &&
               taken > 0 && code > 0 && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF)) {
      append_utf8(out, code);
      at += 1 + static_cast<std::size_t>(taken);
    } else {
      out.push_back(text[at++]);
    }
  }
  return out;
}

Value striptags(Interpreter& interpreter, const Value& input, CallArgs&) {
  std::string text = to_text(input);
  remove_between(interpreter, text, "<!--", "-->");
  remove_between(interpreter, text, "<", ">");
  std::string out;
  bool gap = false;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text.data() + at);
    const bool space = is_space(c.code) || (c.code >= 0x1C && c.code <= 0x1F);
    if (!space && gap && !out.empty()) out.push_back(' ');
    gap = space;
    if (!space) out.append(text, at, c.bytes);
    at += c.bytes;
  }
  return interpreter.make_text(unescaped(out));
}

std::string percent_encoded(std::string_view text, bool query) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos || (c == '/' && !query)) {
      out.push_back(c);
    } else if (c == ' ' && query) {
      out.push_back('+');
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += cat('%', "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]);
    }
  }
  return out;
}

Value urlencode(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments none("urlencode", args, {});
  if (input.is_text() || !is_iterable(input)) return interpreter.make_text(percent_encoded(to_text(input), false));
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    out += cat(out.empty() ? "" : "&", percent_encoded(to_text(key), true), "=", percent_encoded(to_text(value), true));
    interpreter.charge(out.size() / 16);
  };
  if (const auto* dict = input.as<DictPtr>()) {
    for (const auto& [key, value] : (*dict)->items) add(key, value);
    return interpreter.make_text(std::move(out));
  }
  for (const Value& pair : iterate(input)) {
    const std::vector<Value> both = iterate(pair);
    if (both.size() != 2) raise("urlencode() needs pairs");
    add(both[0], both[1]);
  }
  return interpreter.make_text(std::move(out));
}

Value xmlattr(Interpreter& interpreter, const Value& input, CallArgs& args) {
  const Arguments bound("xmlattr", args, {"autospace"});
  const auto* dict = input.as<DictPtr>();
  if (dict == nullptr) raise(cat("xmlattr() needs a mapping, found '", type_name(input), "'"));
  std::string out;
  for (const auto& [key, value] : (*dict)->items) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_text() || key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      raise(cat("xmlattr() finds a wrong name: ", to_repr(key)));
    const auto shown = [](const Value& part) { return part.safe() ? part.text() : escape_html(to_text(part)); };
    out += cat(out.empty() ? "" : " ", shown(key), "=\"", shown(value), "\"");
    interpreter.charge(out.size() / 16);
  }
  if (!out.empty() && bound.truth(0, true)) out.insert(0, 1, ' ');
  return interpreter.make_text(std::move(out));
}

constexpr Filter kMarkupFilters[] = {
    {"safe", safe, kWalksCharacters},
    {"escape", escape, kWalksCharacters},
    {"e", escape, kWalksCharacters},
    {"forceescape", force_escape, kWalksCharacters},
    {"striptags", striptags, kWalksCharacters},
    {"urlencode", urlencode, kWalksCharacters},
    {"xmlattr", xmlattr, kWalksCharacters},
};

}  // namespace

std::span<const Filter> markup_filters() { return kMarkupFilters; }

}  // namespace corbel::jinja
