#pragma once
#include <string>

namespace corbel {

/// A model's wish to have a tool run.
struct ToolCall {
  std::string id;         // as the model wrote it; empty when its format has none
  std::string name;       // never empty
  std::string arguments;  // a JSON object, as the model wrote it where it wrote JSON

  bool operator==(const ToolCall&) const = default;
};

}  // namespace corbel
