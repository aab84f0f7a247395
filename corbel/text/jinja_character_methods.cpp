#include <utf8proc.h>

#include <algorithm>

#include "corbel/text/jinja_arguments.h"
#include "corbel/text/jinja_methods.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

template <typename Test>
Value all_characters(const Value& self, Test&& test) {
  const std::vector<std::string> all = characters(self.text());
  return Value::boolean(!all.empty() && std::all_of(all.begin(), all.end(), [&](const std::string& c) {
    return test(utf8_at(c.data()).code);
  }));
}

bool is_decimal(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND; }
/// Digits that are no decimals: superscripts, subscripts and those in circles.
bool is_digit(char32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || (c >= 0x2070 && c <= 0x2089 && c != 0x2071) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2776 && c <= 0x277E);
}
template <bool (*kTest)(char32_t)>
Value all_of(Interpreter&, const Value& self, CallArgs& args) {
  const Arguments none("the test of a string", args, {});
  return all_characters(self, kTest);
}
bool is_alpha(char32_t c) { return is_letter(c); }
bool is_numeric(char32_t c) { return is_number(c); }
bool is_alphanumeric(char32_t c) { return is_letter(c) || is_number(c); }
bool is_blank_code(char32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

Value isascii(Interpreter&, const Value& self, CallArgs&) {
  return Value::boolean(std::all_of(self.text().begin(), self.text().end(), [](char c) { return (c & 0x80) == 0; }));
}
Value isprintable(Interpreter&, const Value& self, CallArgs&) {
  const std::vector<std::string> all = characters(self.text());
  return Value::boolean(
      std::all_of(all.begin(), all.end(), [](const std::string& c) { return is_printable(utf8_at(c.data()).code); }));
}
Value isidentifier(Interpreter&, const Value& self, CallArgs&) {
  const std::string& text = self.text();
  const bool begins = !text.empty() && (text[0] == '_' || is_letter(utf8_at(text.data()).code));
  return Value::boolean(begins &&
                        all_characters(self, [](char32_t c) { return c == '_' || is_word(c); }).as<bool>()[0]);
}
/// Upper case where a word begins, lower case within, and some letter at all.
Value istitle(Interpreter&, const Value& self, CallArgs&) {
  bool in_word = false;
  bool any = false;
  for (const std::string& c : characters(self.text())) {
    const std::string lower_form = to_lower(c);
    const bool cased = lower_form != to_upper(c);
    const bool is_upper = cased && c != lower_form;
    if (cased && is_upper == in_word) return Value::boolean(false);
    in_word = cased;
    any = any || cased;
  }
  return Value::boolean(any);
}

Value islower(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return Value::boolean(interpreter.apply_test("lower", self, args));
}
Value isupper(Interpreter& interpreter, const Value& self, CallArgs& args) {
  return Value::boolean(interpreter.apply_test("upper", self, args));
}

constexpr MethodEntry kCharacterMethods[] = {
    {"isdigit", all_of<is_digit>, kWalksCharacters},
    {"isdecimal", all_of<is_decimal>, kWalksCharacters},
    {"isnumeric", all_of<is_numeric>, kWalksCharacters},
    {"isalpha", all_of<is_alpha>, kWalksCharacters},
    {"isalnum", all_of<is_alphanumeric>, kWalksCharacters},
    {"isspace", all_of<is_blank_code>, kWalksCharacters},
    {"isascii", isascii},
    {"isprintable", isprintable, kWalksCharacters},
    {"isidentifier", isidentifier, kWalksCharacters},
    {"istitle", istitle, kWalksCharacters},
    {"islower", islower, kWalksCharacters},
    {"isupper", isupper, kWalksCharacters},
};

}  // namespace

std::span<const MethodEntry> character_methods() { return kCharacterMethods; }

}  // namespace corbel::jinja
