#include <array>

#include "corbel/chat/tool_call_scanners.h"

namespace corbel {
namespace {

constexpr std::array<std::string_view, 3> kNameKeys = {"name", "tool_name", "function"};
constexpr std::array<std::string_view, 3> kArgumentKeys = {"arguments", "parameters", "args"};
constexpr std::array<std::string_view, 3> kIdKeys = {"id", "tool_call_id", "call_id"};

bool any_of(std::string_view key, std::span<const std::string_view> keys) {
  for (const std::string_view one : keys) {
    if (key == one) return true;
  }
  return false;
}

/// The arguments as a JSON object: an object, a text that holds one, or nothing at all. Empty: none of these.
std::string arguments_from(std::string_view value) {
  if (value.front() == '{') return std::string(value);
  if (value == "null") return "{}";
  if (value.front() != '"') return {};
  const std::string text = json_string_value(value);
  return without_blanks(text).empty() ? "{}" : whole_json_object(text);
}

/// One call's object. The last of equal keys counts, as in most readers of JSON.
bool read_call(std::string_view object, ToolCall& call, bool& has_arguments) {
  if (object.empty() || object.front() != '{') return false;
  for (const auto& [key, value] : json_members(object)) {
    const bool text = value.front() == '"';
    if (key == "function" && value.front() == '{') {
      if (!read_call(value, call, has_arguments)) return false;
    } else if (any_of(key, kNameKeys)) {
      if (!text) return false;
      call.name = json_string_value(value);
    } else if (any_of(key, kArgumentKeys)) {
      call.arguments = arguments_from(value);
      has_arguments = true;
      if (call.arguments.empty()) return false;
    } else if (any_of(key, kIdKeys)) {
      call.id = text ? json_string_value(value) : std::string(value);
    }
  }
  return true;
}

bool append_call(std::string_view object, bool bare, std::vector<ToolCall>& calls) {
  ToolCall call;
  bool has_arguments = false;
  if (!read_call(object, call, has_arguments)) return false;
  if (call.name.empty() || call.name.size() > kMaxToolName || (bare && !has_arguments)) return false;
  if (!has_arguments) call.arguments = "{}";
  calls.push_back(std::move(call));
  return true;
}

class JsonObjectScanner final : public ToolCallScanner {
 public:
  JsonObjectScanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas)
      : bare_(stands_bare(syntax)), schemas_(&schemas) {}

  ScanStep feed(char byte) override {
    if (json_.text().empty()) {
      if (is_blank(byte)) return ScanStep::more;
      if (byte != '{' && byte != '[') return ScanStep::fail;
      call_depth_ = byte == '[' ? 2 : 1;
    }
    const ScanStep step = json_.feed(byte);
    if (step == ScanStep::fail) return step;
    // An answer may be JSON without being a call: the first foreign key of a bare object tells.
    if (bare_ && json_.at_key() && json_.depth() == call_depth_ && !is_call_key(json_.key())) return ScanStep::fail;
    if (step == ScanStep::more) return step;
    calls_ = calls_from_json(json_.text(), bare_);
    if (calls_.empty()) return ScanStep::fail;
    for (const ToolCall& call : calls_) {
      if (bare_ && !schemas_->empty() && !schemas_->knows(call.name)) return ScanStep::fail;
    }
    return ScanStep::done;
  }

 private:
  static bool is_call_key(std::string_view key) {
    return key == "type" || any_of(key, kNameKeys) || any_of(key, kArgumentKeys) || any_of(key, kIdKeys);
  }

  bool bare_;
  const ToolSchemas* schemas_;
  JsonScanner json_;
  std::size_t call_depth_ = 1;
};

}  // namespace

std::vector<ToolCall> calls_from_json(std::string_view json, bool bare) {
  std::vector<ToolCall> calls;
  if (json.front() == '{') {
    if (!append_call(json, bare, calls)) calls.clear();
    return calls;
  }
  for (const std::string_view item : json_items(json)) {
    if (!append_call(item, bare, calls)) return {};
  }
  return calls;
}

std::unique_ptr<ToolCallScanner> make_json_object_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas) {
  return std::make_unique<JsonObjectScanner>(syntax, schemas);
}

}  // namespace corbel
