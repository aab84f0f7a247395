#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// JSON that arrives byte by byte, kept as text: a call's arguments are handed on as the model wrote them.
namespace corbel {

/// What a scanner makes of one byte more.
enum class ScanStep {
  more,  // fits so far
  done,  // this byte completed it
  fail,  // this byte cannot stand here; the scanner is spent
};

/// Checks one JSON object, array or string (RFC 8259) as it arrives, nesting at most kMaxDepth. One leniency: raw
/// control characters inside strings, which models write, are taken and escaped. Constant work per byte.
class JsonScanner {
 public:
  static constexpr std::size_t kMaxDepth = 64;

  /// The first byte must be '{', '[' or '"'. Call no more after done or fail.
  ScanStep feed(char byte);

  const std::string& text() const noexcept { return text_; }  // what came so far, with control characters escaped
  std::size_t depth() const noexcept { return stack_.size(); }
  /// True when the last byte completed a key of an object; key() is its text between the quotes, escapes not undone.
  bool at_key() const noexcept { return at_key_; }
  std::string_view key() const noexcept { return std::string_view(text_).substr(string_start_, string_size_); }

 private:
  enum class State : std::uint8_t {
    value,
    first_key,
    key,
    colon,
    after_value,
    first_item,
    string,
    escape,
    hex,
    number,
    literal
  };
  enum class Number : std::uint8_t { minus, zero, digits, point, fraction, exponent, exponent_sign, exponent_digits };

  ScanStep step(char byte);
  ScanStep begin_value(char byte);
  ScanStep begin_container(char byte);
  ScanStep begin_string(State state_after, bool is_key);
  ScanStep in_string(char byte);
  ScanStep in_number(char byte);
  ScanStep after_value(char byte);
  ScanStep close();
  ScanStep value_ended();

  std::string text_;
  std::string stack_;  // '{' or '['
  State state_ = State::value;
  Number number_ = Number::minus;
  std::string_view literal_;  // what is left of true, false, null
  std::size_t string_start_ = 0;
  std::size_t string_size_ = 0;
  int hex_left_ = 0;
  bool string_is_key_ = false;
  bool at_key_ = false;
};

/// Members of an object, items of an array, in text that JsonScanner accepted: each with the value's own text. Keys
/// have their escapes undone. Linear.
std::vector<std::pair<std::string, std::string_view>> json_members(std::string_view object);
std::vector<std::string_view> json_items(std::string_view array);

/// The text that a JSON string with its quotes stands for; lone surrogates become U+FFFD.
std::string json_string_value(std::string_view quoted);
/// `text` with quotes as a JSON string; bytes outside ASCII stay as they are.
std::string json_quoted(std::string_view text);
/// Appends a Unicode scalar value as UTF-8; U+FFFD for what is none.
void append_utf8(std::string& out, std::uint32_t code_point);

/// `text`, blanks around it aside, when it is one whole JSON object; empty otherwise.
std::string whole_json_object(std::string_view text);

inline bool is_blank(char byte) noexcept { return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r'; }
std::string_view without_blanks(std::string_view text) noexcept;  // around it

}  // namespace corbel
