#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/tool_call.h"
#include "corbel/chat/tool_call_json.h"
#include "corbel/chat/tool_call_schema.h"
#include "corbel/chat/tool_call_syntax.h"

namespace corbel {

/// Reads what follows a syntax's opening marker, byte by byte, and stops at the first byte that cannot stand there.
/// Constant work per byte, amortized; at the last byte once more what the call is long.
class ToolCallScanner {
 public:
  virtual ~ToolCallScanner() = default;
  virtual ScanStep feed(char byte) = 0;
  /// Filled when feed() said done; never empty then.
  std::vector<ToolCall>& calls() noexcept { return calls_; }

 protected:
  std::vector<ToolCall> calls_;
};

/// Starts behind `syntax.open`. Both references outlive the scanner. `schemas` may be empty: then any name will do.
std::unique_ptr<ToolCallScanner> make_tool_call_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas);

/// Matches a marker text as the bytes come. A blank in the text, the place between '>' and '<', and the place before
/// the text stand for any run of blanks; blanks at its end are left to what follows.
class MarkerMatcher {
 public:
  /// `marker` outlives the matcher.
  explicit MarkerMatcher(std::string_view marker) : marker_(without_blanks(marker)) {}
  ScanStep feed(char byte);
  bool empty() const noexcept { return marker_.empty(); }  // then feed() always fails

 private:
  std::string_view marker_;
  std::size_t at_ = 0;
  bool blanks_allowed_ = true;
};

/// What a name of a tool may consist of; long enough for any, short enough to tell a name from prose.
bool is_tool_name_byte(char byte) noexcept;
inline constexpr std::size_t kMaxToolName = 256;

/// Calls out of an object or an array in text that JsonScanner accepted; empty when any of them is none.
/// `bare` demands arguments beside the name.
std::vector<ToolCall> calls_from_json(std::string_view json, bool bare);

/// Calls out of a list "[f(a=1), g()]" or a single "f(a=1)"; empty when it is none.
std::vector<ToolCall> calls_from_python(std::string_view text);

}  // namespace corbel
