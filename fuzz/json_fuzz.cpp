// What parse_json accepts is JSON, survives being written and read again, and can be asked for any field.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>

#include "corbel/base/json.h"

namespace {

using corbel::Json;
using corbel::JsonFields;

void require(bool condition) {
  if (!condition) std::abort();
}

void read_every_field(const JsonFields& fields) {
  if (!fields.json().is_object()) {
    require(!fields.get_bool("x", true));
    return;
  }
  for (const auto& [key, value] : fields.json().get_ref<const Json::object_t&>()) {
    require(fields.has(key) == !value.is_null());
    if (const auto number = fields.get_int(key, 0, -5, 5)) require(*number >= -5 && *number <= 5);
    static_cast<void>(fields.get_number(key, 0));
    static_cast<void>(fields.require_string(key));
    static_cast<void>(fields.get_numbers(key));
    static_cast<void>(fields.get_strings(key));
    static_cast<void>(fields.get_ints(key));
    if (const auto inner = fields.object(key)) read_every_field(*inner);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const corbel::Result<Json> json = corbel::parse_json(text, "fuzz");
  if (!json) {
    require(!json.error().message.empty() && json.error().message.size() < 400);
    return 0;
  }
  require(Json::accept(text));
  const corbel::Result<Json> again = corbel::parse_json(json->dump(), "again");
  require(again && *again == *json);
  read_every_field(JsonFields(*json, "fuzz"));
  return 0;
}
