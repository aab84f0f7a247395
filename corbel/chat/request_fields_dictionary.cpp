#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>

#include "corbel/base/cat.h"
#include "corbel/chat/request_fields.h"

namespace corbel {
namespace {

/// As JSON has it; whole ones without a point.
std::string number_text(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  return std::abs(value) <= kExact && std::trunc(value) == value ? cat(static_cast<std::int64_t>(value)) : cat(value);
}

/// One line of libFuzzer's format: a text between quotation marks, of which those inside and backslashes are escaped.
std::string line(std::string_view word) {
  std::string text = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + "\"\n";
}

void add_words(const RequestField& field, std::set<std::string>& words) {
  const std::string name = cat('"', field.name, "\":");
  words.insert(name);
  switch (field.type) {
    case FieldType::boolean: words.insert(name + "true"); break;
    case FieldType::text: words.insert(name + "\"\""); break;
    case FieldType::list:
    case FieldType::text_or_list: words.insert(name + "[]"); break;
    case FieldType::object:
    case FieldType::text_or_object: words.insert(name + "{}"); break;
    case FieldType::integer:
    case FieldType::number:
      if (!field.is_ranged()) break;
      // Both ends, and what is just outside.
      for (const double value : {field.low, field.high, field.low - 1, field.high + 1})
        words.insert(name + number_text(value));
  }
  for (std::size_t at = 0; at < field.only.size();) {
    constexpr std::string_view kBetween = " | ";
    const std::size_t end = std::min(field.only.find(kBetween, at), field.only.size());
    words.insert(cat(name, field.only.substr(at, end - at)));
    at = end + kBetween.size();
  }
}

}  // namespace

std::string request_fields_dictionary() {
  std::set<std::string> words;
  for (const RequestField& field : all_request_fields()) add_words(field, words);
  std::string text =
      "# Words of requests, for fuzzing: made by `corbel_api_fields --dictionary` from the table in\n"
      "# corbel/chat/request_fields_table.cpp.\n";
  for (const std::string& word : words) text += line(word);
  return text;
}

}  // namespace corbel
