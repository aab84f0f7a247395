#pragma once
#include <optional>
#include <string>
#include <string_view>

/// Values that models write in other spellings than JSON, as JSON.
namespace corbel {

/// What may stand beside JSON and Python's literals.
struct LiteralSyntax {
  std::string string_mark;  // opens and closes a string without escapes; empty: none
  bool bare_keys = false;   // keys of objects may stand without quotes
};

/// Reads JSON, Python's literals (True, None, 'text', tuples) and what `syntax` adds. Nesting at most 64. Linear.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, const LiteralSyntax& syntax) : text_(text), syntax_(&syntax) {}
  LiteralReader(std::string_view text, const LiteralSyntax&& syntax) = delete;

  /// Appends the value at the cursor to `out` as JSON; false where none stands, `out` is then of no use.
  bool value(std::string& out);
  /// A name of letters, digits, '_', '-', '.' and bytes beyond ASCII; empty where none stands.
  std::string_view name();
  void skip_blanks();
  /// Passes `expected` if it stands here.
  bool take(std::string_view expected);
  bool at_end() const noexcept { return at_ == text_.size(); }

 private:
  bool object(std::string& out);
  bool array(std::string& out, char close);
  bool key(std::string& out);
  bool quoted(std::string& out);
  bool marked(std::string& out);
  bool number(std::string& out);
  bool escape(std::string& plain);
  bool code_point(std::string& plain, std::size_t digits);

  std::string_view text_;
  const LiteralSyntax* syntax_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

/// The whole of `text`, blanks around it aside, as JSON; nothing when it is not one value.
std::optional<std::string> literal_to_json(std::string_view text, const LiteralSyntax& syntax);

}  // namespace corbel
