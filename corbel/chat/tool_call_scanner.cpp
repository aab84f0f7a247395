#include "corbel/chat/tool_call_scanner.h"

#include "corbel/chat/tool_call_scanners.h"

namespace corbel {

ScanStep MarkerMatcher::feed(char byte) {
  if (at_ == marker_.size()) return ScanStep::fail;
  while (is_blank(marker_[at_])) {
    ++at_;
    blanks_allowed_ = true;
  }
  if (at_ > 0 && marker_[at_ - 1] == '>' && marker_[at_] == '<') blanks_allowed_ = true;
  if (is_blank(byte) && blanks_allowed_) return ScanStep::more;
  if (marker_[at_] != byte) return ScanStep::fail;
  blanks_allowed_ = false;
  return ++at_ == marker_.size() ? ScanStep::done : ScanStep::more;
}

bool is_tool_name_byte(char byte) noexcept {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_' ||
         byte == '-' || byte == '.' || byte == ':' || byte == '/';
}

std::unique_ptr<ToolCallScanner> make_tool_call_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas) {
  switch (syntax.shape) {
    case ToolCallShape::json_object: return make_json_object_scanner(syntax, schemas);
    case ToolCallShape::named_json: return make_named_json_scanner(syntax);
    case ToolCallShape::parameters: return make_parameters_scanner(syntax, schemas);
    case ToolCallShape::python_calls: return make_python_calls_scanner(syntax, schemas);
    case ToolCallShape::loose_object: return make_loose_object_scanner(syntax);
  }
  return nullptr;
}

}  // namespace corbel
