#include <unordered_map>

#include "corbel/chat/tool_call_scanners.h"

namespace corbel {
namespace {

class ParametersScanner final : public ToolCallScanner {
 public:
  ParametersScanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas)
      : syntax_(&syntax), schemas_(&schemas), marker_(syntax.name_end) {
    begin_body();
  }

  ScanStep feed(char byte) override {
    switch (state_) {
      case State::name: return in_name(byte);
      case State::name_end: return in_marker(byte, State::body);
      case State::body: return in_body(byte);
      case State::key: return in_key(byte);
      case State::key_end: return in_marker(byte, State::value);
      case State::value: return in_value(byte);
    }
    return ScanStep::fail;
  }

 private:
  enum class State { name, name_end, body, key, key_end, value };

  ScanStep in_name(char byte) {
    if (is_tool_name_byte(byte)) {
      name_ += byte;
      return name_.size() > kMaxToolName ? ScanStep::fail : ScanStep::more;
    }
    if (name_.empty()) return is_blank(byte) ? ScanStep::more : ScanStep::fail;
    state_ = marker_.empty() ? State::body : State::name_end;
    return feed(byte);
  }

  ScanStep in_marker(char byte, State next) {
    const ScanStep step = marker_.feed(byte);
    if (step != ScanStep::done) return step;
    state_ = next;
    return ScanStep::more;
  }

  void begin_body() {
    key_open_ = MarkerMatcher(syntax_->key_open);
    close_ = MarkerMatcher(syntax_->close);
    section_close_ = MarkerMatcher(syntax_->section_close);
    key_open_possible_ = !key_open_.empty();
    close_possible_ = !close_.empty();
    section_close_possible_ = !section_close_.empty();
  }

  // A parameter or the end of the call, whichever the bytes go on to spell.
  ScanStep in_body(char byte) {
    const ScanStep key = key_open_possible_ ? key_open_.feed(byte) : ScanStep::fail;
    const ScanStep close = close_possible_ ? close_.feed(byte) : ScanStep::fail;
    const ScanStep section = section_close_possible_ ? section_close_.feed(byte) : ScanStep::fail;
    if (close == ScanStep::done || section == ScanStep::done) return finish();
    key_open_possible_ = key != ScanStep::fail;
    close_possible_ = close != ScanStep::fail;
    section_close_possible_ = section != ScanStep::fail;
    if (key == ScanStep::done) {
      key_.clear();
      state_ = State::key;
    }
    return key_open_possible_ || close_possible_ || section_close_possible_ ? ScanStep::more : ScanStep::fail;
  }

  ScanStep in_key(char byte) {
    if (byte != syntax_->key_end.front() && byte != '\n') {
      key_ += byte;
      return key_.size() > kMaxToolName ? ScanStep::fail : ScanStep::more;
    }
    if (without_blanks(key_).empty()) return ScanStep::fail;
    marker_ = MarkerMatcher(syntax_->key_end);
    value_.clear();
    state_ = State::key_end;
    return feed(byte);
  }

  ScanStep in_value(char byte) {
    value_ += byte;
    const std::string& end = syntax_->value_end;
    if (byte != end.back() || !value_.ends_with(end)) return ScanStep::more;
    std::string_view raw(value_);
    raw.remove_suffix(end.size());
    if (syntax_->newlines_in_values) {
      if (raw.starts_with('\n')) raw.remove_prefix(1);
      if (raw.ends_with('\n')) raw.remove_suffix(1);
    }
    const std::string key(without_blanks(key_));
    const auto [found, added] = places_.emplace(key, parameters_.size());
    std::string json = schemas_->value_to_json(name_, key, raw);
    if (added) {
      parameters_.emplace_back(key, std::move(json));
    } else {
      parameters_[found->second].second = std::move(json);
    }
    begin_body();
    state_ = State::body;
    return ScanStep::more;
  }

  ScanStep finish() {
    std::string arguments = "{";
    for (const auto& [key, json] : parameters_) {
      if (arguments.size() > 1) arguments += ", ";
      arguments += json_quoted(key);
      arguments += ": ";
      arguments += json;
    }
    arguments += '}';
    calls_.push_back({{}, std::move(name_), std::move(arguments)});
    return ScanStep::done;
  }

  const ToolCallSyntax* syntax_;
  const ToolSchemas* schemas_;
  State state_ = State::name;
  MarkerMatcher marker_;
  MarkerMatcher key_open_{{}};
  MarkerMatcher close_{{}};
  MarkerMatcher section_close_{{}};
  bool key_open_possible_ = false;
  bool close_possible_ = false;
  bool section_close_possible_ = false;
  std::string name_;
  std::string key_;
  std::string value_;
  std::vector<std::pair<std::string, std::string>> parameters_;  // in the model's order; the last of equal keys counts
  std::unordered_map<std::string, std::size_t> places_;
};

}  // namespace

std::unique_ptr<ToolCallScanner> make_parameters_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas) {
  return std::make_unique<ParametersScanner>(syntax, schemas);
}

}  // namespace corbel
