#pragma once
#include "corbel/chat/tool_call_scanner.h"

/// A scanner for each shape; make_tool_call_scanner() chooses.
namespace corbel {

std::unique_ptr<ToolCallScanner> make_json_object_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas);
std::unique_ptr<ToolCallScanner> make_named_json_scanner(const ToolCallSyntax& syntax);
std::unique_ptr<ToolCallScanner> make_parameters_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas);
std::unique_ptr<ToolCallScanner> make_python_calls_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas);
std::unique_ptr<ToolCallScanner> make_loose_object_scanner(const ToolCallSyntax& syntax);

}  // namespace corbel
