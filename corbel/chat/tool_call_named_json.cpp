#include <optional>

#include "corbel/chat/tool_call_scanners.h"

namespace corbel {
namespace {

class NamedJsonScanner final : public ToolCallScanner {
 public:
  explicit NamedJsonScanner(const ToolCallSyntax& syntax)
      : syntax_(&syntax), name_end_(syntax.name_end), id_open_(syntax.id_open) {
    call_.emplace();
  }

  ScanStep feed(char byte) override {
    switch (state_) {
      case State::name: return in_header(byte, call_->name);
      case State::id: return in_header(byte, call_->id);
      case State::marker: return in_marker(byte);
      case State::json: return in_json(byte);
    }
    return ScanStep::fail;
  }

 private:
  enum class State { name, id, marker, json };

  ScanStep in_header(char byte, std::string& field) {
    if (is_tool_name_byte(byte)) {
      field += byte;
      return field.size() > kMaxToolName ? ScanStep::fail : ScanStep::more;
    }
    if (field.empty()) return is_blank(byte) ? ScanStep::more : ScanStep::fail;
    if (field == syntax_->text_name) return ScanStep::fail;
    id_possible_ = state_ == State::name && !syntax_->id_open.empty();
    end_possible_ = true;
    state_ = State::marker;
    if (!name_end_.empty()) return in_marker(byte);
    state_ = State::json;
    return in_json(byte);
  }

  // Either the marker before the id or the one before the arguments, whichever the bytes go on to spell.
  ScanStep in_marker(char byte) {
    const ScanStep end = end_possible_ ? name_end_.feed(byte) : ScanStep::fail;
    const ScanStep id = id_possible_ ? id_open_.feed(byte) : ScanStep::fail;
    end_possible_ = end != ScanStep::fail;
    id_possible_ = id != ScanStep::fail;
    if (end == ScanStep::done) {
      state_ = State::json;
    } else if (id == ScanStep::done) {
      state_ = State::id;
      name_end_ = MarkerMatcher(syntax_->name_end);
    }
    return end_possible_ || id_possible_ ? ScanStep::more : ScanStep::fail;
  }

  ScanStep in_json(char byte) {
    if (json_.text().empty()) {
      if (is_blank(byte)) return ScanStep::more;
      if (byte != '{') return ScanStep::fail;
    }
    const ScanStep step = json_.feed(byte);
    if (step != ScanStep::done) return step;
    call_->arguments = json_.text();
    split_name();
    if (call_->name.empty()) return ScanStep::fail;
    calls_.push_back(*std::move(call_));
    return step;
  }

  // "functions.get:0" is the id of the call and holds its name.
  void split_name() {
    if (syntax_->name_prefix.empty() || !call_->name.starts_with(syntax_->name_prefix)) return;
    const std::string whole = call_->name;
    call_->name.erase(0, syntax_->name_prefix.size());
    const std::size_t colon = call_->name.rfind(':');
    if (colon == std::string::npos) return;
    if (call_->name.find_first_not_of("0123456789", colon + 1) != std::string::npos) return;
    call_->name.resize(colon);
    call_->id = whole;
  }

  const ToolCallSyntax* syntax_;
  State state_ = State::name;
  MarkerMatcher name_end_;
  MarkerMatcher id_open_;
  bool end_possible_ = true;
  bool id_possible_ = true;
  JsonScanner json_;
  std::optional<ToolCall> call_;
};

}  // namespace

std::unique_ptr<ToolCallScanner> make_named_json_scanner(const ToolCallSyntax& syntax) {
  return std::make_unique<NamedJsonScanner>(syntax);
}

}  // namespace corbel
