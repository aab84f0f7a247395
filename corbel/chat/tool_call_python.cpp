#include <unordered_set>

#include "corbel/chat/tool_call_literal.h"
#include "corbel/chat/tool_call_scanners.h"

namespace corbel {
namespace {

/// f(key=value, ...) at the reader's place.
bool read_call(LiteralReader& reader, ToolCall& call) {
  reader.skip_blanks();
  call.name = std::string(reader.name());
  // Models write their built-in tools as methods: search.call(query="x").
  if (call.name.size() > 5 && call.name.ends_with(".call")) call.name.resize(call.name.size() - 5);
  if (call.name.empty() || call.name.size() > kMaxToolName) return false;
  reader.skip_blanks();
  if (!reader.take("(")) return false;
  std::unordered_set<std::string_view> keys;
  call.arguments.assign(1, '{');
  for (reader.skip_blanks(); !reader.take(")"); reader.skip_blanks()) {
    if (!keys.empty() && !reader.take(",")) return false;
    reader.skip_blanks();
    if (!keys.empty() && reader.take(")")) break;
    const std::string_view key = reader.name();
    reader.skip_blanks();
    if (key.empty() || !reader.take("=") || !keys.insert(key).second) return false;
    if (keys.size() > 1) call.arguments += ", ";
    call.arguments += json_quoted(key);
    call.arguments += ": ";
    if (!reader.value(call.arguments)) return false;
  }
  call.arguments += '}';
  return true;
}

/// Finds where a list of calls, or one call, ends: brackets and strings are counted, the whole is read at the end.
class PythonCallsScanner final : public ToolCallScanner {
 public:
  PythonCallsScanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas)
      : bare_(stands_bare(syntax)), schemas_(&schemas) {}

  ScanStep feed(char byte) override {
    if (text_.empty() && is_blank(byte)) return ScanStep::more;
    text_ += byte;
    if (quote_ != 0) return in_string(byte);
    if (closed_list_ || !fits_head(byte)) return ScanStep::fail;
    switch (byte) {
      case '"':
      case '\'': open_string(byte); return ScanStep::more;
      case '(':
      case '[':
      case '{': stack_ += byte; return stack_.size() > JsonScanner::kMaxDepth ? ScanStep::fail : ScanStep::more;
      case ')':
      case ']':
      case '}': return close(byte);
      default: return ScanStep::more;
    }
  }

 private:
  // Up to the first '(' only a '[' and a name may stand, so that prose in brackets is told at once.
  bool fits_head(char byte) {
    if (head_ended_) return true;
    if (byte == '[') return text_.size() == 1;
    if (byte == '(') {
      head_ended_ = named_;
      return named_;
    }
    const bool blank = is_blank(byte);
    if (!blank && (!is_tool_name_byte(byte) || name_over_)) return false;
    const bool digit = byte >= '0' && byte <= '9';
    if (!named_ && digit) return false;
    name_over_ = blank && named_;
    named_ = named_ || !blank;
    return text_.size() <= kMaxToolName;
  }

  void open_string(char byte) {
    quote_ = byte;
    quote_run_ = 1;
    quote_start_ = text_.size();
    triple_ = false;
    escaped_ = false;
  }

  ScanStep in_string(char byte) {
    // Two quotes in a row are an empty string or the start of a triple one: the third byte tells.
    if (quote_run_ == 2 && text_.size() == quote_start_ + 2) {
      if (byte == quote_) {
        triple_ = true;
        quote_run_ = 0;
        return ScanStep::more;
      }
      quote_ = 0;
      text_.pop_back();
      return feed(byte);
    }
    if (escaped_ || byte == '\\') {
      escaped_ = !escaped_;
      quote_run_ = 0;
      return ScanStep::more;
    }
    if (byte != quote_) {
      quote_run_ = 0;
      return ScanStep::more;
    }
    if (!triple_ && text_.size() == quote_start_ + 1) {
      quote_run_ = 2;
      return ScanStep::more;
    }
    ++quote_run_;
    if (!triple_ || quote_run_ == 3) quote_ = 0;
    return ScanStep::more;
  }

  ScanStep close(char byte) {
    const char open = byte == ')' ? '(' : byte == ']' ? '[' : '{';
    if (stack_.empty() || stack_.back() != open) return ScanStep::fail;
    stack_.pop_back();
    if (!stack_.empty()) return ScanStep::more;
    closed_list_ = true;
    calls_ = calls_from_python(text_);
    if (calls_.empty()) return ScanStep::fail;
    for (const ToolCall& call : calls_) {
      if (bare_ && !schemas_->empty() && !schemas_->knows(call.name)) return ScanStep::fail;
    }
    return ScanStep::done;
  }

  bool bare_;
  const ToolSchemas* schemas_;
  std::string text_;
  std::string stack_;
  char quote_ = 0;  // the quote of the string that is open
  int quote_run_ = 0;
  std::size_t quote_start_ = 0;  // behind the opening quote
  bool triple_ = false;
  bool escaped_ = false;
  bool head_ended_ = false;
  bool named_ = false;
  bool name_over_ = false;
  bool closed_list_ = false;
};

/// NAME{...}, the texts inside between marks.
class LooseObjectScanner final : public ToolCallScanner {
 public:
  explicit LooseObjectScanner(const ToolCallSyntax& syntax)
      : literal_{syntax.string_mark, true}, prefix_(syntax.name_prefix) {}

  ScanStep feed(char byte) override {
    if (body_.empty() && byte != '{') {
      if (name_.empty() && is_blank(byte)) return ScanStep::more;
      name_ += byte;
      return is_tool_name_byte(byte) && name_.size() <= kMaxToolName ? ScanStep::more : ScanStep::fail;
    }
    body_ += byte;
    const std::string& mark = literal_.string_mark;
    if (!mark.empty() && byte == mark.back() && body_.size() - mark_end_ >= mark.size() && body_.ends_with(mark)) {
      in_text_ = !in_text_;
      mark_end_ = body_.size();
      return ScanStep::more;
    }
    if (in_text_) return ScanStep::more;
    if (in_quotes_ || (byte == '"' && !inside_mark())) {
      if (byte == '"' && !escaped_) in_quotes_ = !in_quotes_;
      escaped_ = byte == '\\' && !escaped_;
      return ScanStep::more;
    }
    if (byte == '{' || byte == '[') {
      stack_ += byte;
      return stack_.size() > JsonScanner::kMaxDepth ? ScanStep::fail : ScanStep::more;
    }
    if (byte != '}' && byte != ']') return ScanStep::more;
    if (stack_.back() != (byte == '}' ? '{' : '[')) return ScanStep::fail;
    stack_.pop_back();
    return stack_.empty() ? finish() : ScanStep::more;
  }

 private:
  // A quotation mark may be one of the mark's own bytes.
  bool inside_mark() const {
    const std::size_t at = literal_.string_mark.find('"');
    return at != std::string::npos && body_.ends_with(std::string_view(literal_.string_mark).substr(0, at + 1)) &&
           at > 0;
  }

  ScanStep finish() {
    if (!prefix_.empty() && name_.starts_with(prefix_)) name_.erase(0, prefix_.size());
    auto arguments = literal_to_json(body_, literal_);
    if (name_.empty() || !arguments) return ScanStep::fail;
    calls_.push_back({{}, std::move(name_), *std::move(arguments)});
    return ScanStep::done;
  }

  LiteralSyntax literal_;
  std::string prefix_;
  std::string name_;
  std::string body_;
  std::string stack_;
  std::size_t mark_end_ = 0;  // a mark's bytes count once
  bool in_text_ = false;
  bool in_quotes_ = false;
  bool escaped_ = false;
};

}  // namespace

std::vector<ToolCall> calls_from_python(std::string_view text) {
  static const LiteralSyntax kPlain;
  std::vector<ToolCall> calls;
  LiteralReader reader(text, kPlain);
  reader.skip_blanks();
  const bool list = reader.take("[");
  do {
    reader.skip_blanks();
    if (list && !calls.empty() && reader.take("]")) return reader.at_end() ? calls : std::vector<ToolCall>();
    if (!read_call(reader, calls.emplace_back())) return {};
    reader.skip_blanks();
  } while (list && reader.take(","));
  if (list && !reader.take("]")) return {};
  reader.skip_blanks();
  return reader.at_end() ? calls : std::vector<ToolCall>();
}

std::unique_ptr<ToolCallScanner> make_python_calls_scanner(const ToolCallSyntax& syntax, const ToolSchemas& schemas) {
  return std::make_unique<PythonCallsScanner>(syntax, schemas);
}

std::unique_ptr<ToolCallScanner> make_loose_object_scanner(const ToolCallSyntax& syntax) {
  return std::make_unique<LooseObjectScanner>(syntax);
}

}  // namespace corbel
