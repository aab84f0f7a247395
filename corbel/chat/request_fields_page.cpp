#include "corbel/base/cat.h"
#include "corbel/chat/request_fields.h"

namespace corbel {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string number(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? std::to_string(whole) : cat(value);
}

std::string range_of(const RequestField& field) {
  if (field.use == RequestField::Use::only) return cat("only `", escaped(field.only), '`');
  if (!field.is_ranged()) return "";
  if (field.high > 9e18) return "64 bits";
  return cat(field.low_is_open ? "above " : "", number(field.low), " to ", number(field.high));
}

std::string apis_of(const RequestField& field) {
  std::string text;
  for (const ApiEntry& entry : all_apis()) {
    if (field.belongs_to(entry.api)) text += cat(text.empty() ? "" : ", ", entry.name);
  }
  return text;
}

void append_table(std::string& page, RequestField::Use use) {
  page += "\n| field | of | type | range | left out | meaning | from |\n|---|---|---|---|---|---|---|\n";
  for (const RequestField& field : all_request_fields()) {
    if (field.use != use) continue;
    page += cat("| `", field.name, "` | ", apis_of(field), " | ", field_type_name(field.type), " | ", range_of(field),
                " | ", escaped(field.fallback), " | ", escaped(field.meaning), " | ", field.from, " |\n");
  }
}

}  // namespace

std::string request_fields_page() {
  using Use = RequestField::Use;
  std::string page =
      "# Fields of requests\n\n"
      "Made by `corbel_api_fields` from the table in corbel/chat/request_fields_table.cpp, which the readers check "
      "requests with. A field that\nis `null` counts as left out. A field that is not in this table is refused; "
      "refusals begin with the field's path and name the range,\nand `param` of the error has the path: "
      "`tools[0].function.name`.\n\n"
      "| of | body of |\n|---|---|\n";
  for (const ApiEntry& entry : all_apis()) page += cat("| ", entry.name, " | `POST ", entry.path, "` |\n");
  page +=
      "\n"
      "## Honoured\n";
  append_table(page, Use::honoured);
  page += "\n## About the caller\n\nChecked for their type; they change nothing, and nothing is said of them.\n";
  append_table(page, Use::about_caller);
  page += "\n## Accepted with a warning\n\nThey change nothing, and the answer's `warnings` say so.\n";
  append_table(page, Use::warned);
  page += "\n## Accepted with one value\n\nOther values are refused.\n";
  append_table(page, Use::only);
  return page;
}

}  // namespace corbel
