#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corbel::jinja {

/// A template does not parse. Caught by ChatTemplate.
struct SyntaxError {
  std::string message;
  int line = 0;
  int column = 0;
};

enum class TokenType { data, variable_begin, variable_end, block_begin, block_end, name, text, integer, real, op, end };

struct Token {
  TokenType type = TokenType::end;
  std::string text;  // data, names, operators, strings (escapes resolved), numbers (underscores removed)
  int line = 1;
  int column = 1;
};

/// Cuts a template as Jinja does with trim_blocks and lstrip_blocks on: newlines become \n, one at the end is dropped,
/// white space around tags goes as their signs say. Throws SyntaxError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace corbel::jinja
