#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "corbel/base/json.h"

namespace corbel {

/// What a request says about its tools, as far as reading calls needs it: names, and the types of their parameters.
/// Formats that write a value without quotes leave open whether 12 is a number or a text.
class ToolSchemas {
 public:
  ToolSchemas() = default;
  /// `tools` is an array of {"type": "function", "function": {"name", "parameters"}} or of {"name", "parameters"};
  /// what has no name is passed over.
  explicit ToolSchemas(const Json& tools);

  /// What a schema says of the kinds of its values, $ref into `root` followed, as far as it decides how raw text is
  /// read.
  enum class ValueKinds {
    unknown,
    no_text,
    text,
    text_or_null,
    mixed,  // texts, and others than null
  };
  static ValueKinds kinds_of(const Json& schema, const Json& root);

  bool empty() const noexcept { return tools_.empty(); }
  bool knows(std::string_view tool) const;

  /// `raw` as JSON: by the parameter's type where the schema tells it. Without a type, objects, arrays, numbers, true,
  /// false and null (in JSON's or Python's spelling) are values, everything else is a text.
  std::string value_to_json(std::string_view tool, std::string_view parameter, std::string_view raw) const;

 private:
  using Types = std::uint8_t;  // a bit for each JSON type; 0: not known
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  template <typename T>
  using ByName = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  static Types types_of(const Json& schema, const Json& root, int depth);
  Types types(std::string_view tool, std::string_view parameter) const;

  ByName<ByName<Types>> tools_;
};

}  // namespace corbel
