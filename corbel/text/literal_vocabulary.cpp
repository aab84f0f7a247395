#include "corbel/text/literal_vocabulary.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/longest_match_model.h"
#include "corbel/text/tokenizer_parts.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

/// The value of the digits at the front of `text`, at most `most` of them; `count` receives how many there were.
std::uint32_t read_digits(std::string_view text, int base, std::size_t most, std::size_t& count) noexcept {
  std::uint32_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + std::min(most, text.size()), value, base);
  count = end.ec == std::errc() ? static_cast<std::size_t>(end.ptr - text.data()) : 0;
  return value;
}

/// One escape, `text` standing behind its backslash; takes it off `text`.
Result<void> read_escape(std::string_view& text, bool is_bytes, std::string& out) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  const auto bad = [&](std::string_view why) {
    return fail(Code::bad_file, cat("the escape ", quote(cat('\\', text.substr(0, 10))), " ", why));
  };
  if (text.empty()) return bad("is not complete");
  if (const std::size_t at = kLetters.find(text[0]); at != std::string_view::npos) {
    out.push_back(kMeanings[at]);
    text.remove_prefix(1);
    return {};
  }
  std::size_t count = 0;
  std::uint32_t value = 0;
  std::size_t skipped = 1;
  if (text[0] >= '0' && text[0] <= '7') {
    value = read_digits(text, 8, 3, count);
    skipped = 0;
  } else if (text[0] == 'x' || (!is_bytes && (text[0] == 'u' || text[0] == 'U'))) {
    const std::size_t width = text[0] == 'x' ? 2 : text[0] == 'u' ? 4 : 8;
    value = read_digits(text.substr(1), 16, width, count);
    if (count != width) return bad("needs more hexadecimal digits");
  } else {
    return bad("is not known here");
  }
  if (is_bytes ? value > 0xFF : value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return bad("is no byte or character");
  }
  if (is_bytes) {
    out.push_back(static_cast<char>(value));
  } else {
    append_utf8(out, value);
  }
  text.remove_prefix(skipped + count);
  return {};
}

/// The inside of a literal up to `mark` (0: to the end), which is taken off `text` too.
Result<std::string> read_inside(std::string_view& text, char mark, bool is_bytes) {
  std::string out;
  while (!text.empty() && (mark == 0 || text[0] != mark)) {
    const char c = text[0];
    text.remove_prefix(1);
    if (c == '\\') {
      CORBEL_TRY(read_escape(text, is_bytes, out));
    } else if (is_bytes && static_cast<std::uint8_t>(c) >= 0x80) {
      return fail(Code::bad_file, cat("a bytes literal holds ASCII and escapes only, found the byte ",
                                      static_cast<int>(static_cast<std::uint8_t>(c))));
    } else {
      out.push_back(c);
    }
  }
  if (mark == 0) return out;
  if (text.empty()) return fail(Code::bad_file, cat("the literal has no closing ", mark));
  text.remove_prefix(1);
  return out;
}

struct Line {
  std::int64_t id = -1;
  std::int64_t bytes = -1;
  std::string_view literal;
};

bool read_line(std::string_view line, Line& out) noexcept {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return false;
  const auto whole = [](std::string_view digits, std::int64_t& value) {
    const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return end.ec == std::errc() && end.ptr == digits.data() + digits.size();
  };
  out.literal = line.substr(first + 1, last - first - 1);
  return whole(line.substr(0, first), out.id) && whole(line.substr(last + 1), out.bytes);
}

std::string_view take_line(std::string_view& text) noexcept {
  const std::size_t stop = text.find('\n');
  std::string_view line = text.substr(0, stop);
  text.remove_prefix(stop == std::string_view::npos ? text.size() : stop + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

/// Tokens as they are collected; a deque keeps what views point to in place.
struct Collected {
  std::deque<std::string> bytes;
  std::vector<ByteTrie::Key> tokens;
  Vocabulary vocabulary;

  Result<void> add(std::string token, std::int64_t id) {
    std::string spelled;
    append_spelled(spelled, token);
    CORBEL_TRY(vocabulary.add(spelled, id, "vocabulary"));
    bytes.push_back(std::move(token));
    tokens.push_back({bytes.back(), static_cast<std::int32_t>(id)});
    return {};
  }
};

Result<Tokenizer> finish(Collected collected, std::int32_t end_id, std::string_view end_text,
                         const std::string& source) {
  auto parts = std::make_unique<Tokenizer::Parts>();
  auto model = LongestMatchModel::make(std::move(collected.vocabulary), std::move(collected.tokens));
  if (!model) return forward_failure(model, source);
  parts->model = *std::move(model);
  const Json decoder = {{"type", "ByteLevel"}};
  CORBEL_ASSIGN(parts->decoder, make_decoder(JsonFields(decoder, source, "decoder")));
  AddedToken end{
      .content = std::string(end_text), .id = end_id, .normalized = false, .special = true, .in_text = false};
  if (auto added = parts->add_token(std::move(end)); !added) return forward_failure(added, source);
  if (auto finished = parts->finish(); !finished) return forward_failure(finished, source);
  return Tokenizer(std::move(parts));
}

}  // namespace

Result<std::string> read_python_literal(std::string_view literal) {
  std::string_view rest = literal;
  const bool is_bytes = rest.starts_with('b');
  if (is_bytes) rest.remove_prefix(1);
  if (rest.empty() || (rest[0] != '\'' && rest[0] != '"')) {
    return fail(Code::bad_file, cat("must be a Python string or bytes literal, found ", quote(literal)));
  }
  const char mark = rest[0];
  rest.remove_prefix(1);
  auto inside = read_inside(rest, mark, is_bytes);
  if (!inside) return inside;
  if (!rest.empty()) return fail(Code::bad_file, cat("the literal ", quote(literal), " ends before its line does"));
  if (!is_bytes && valid_utf8_prefix(*inside) != inside->size()) {
    return fail(Code::bad_file, cat("the literal ", quote(literal), " is not valid UTF-8"));
  }
  return inside;
}

bool is_literal_vocabulary(std::string_view bytes) noexcept {
  Line line;
  const std::string_view first = take_line(bytes);
  return read_line(first, line) &&
         (line.literal.starts_with('\'') || line.literal.starts_with('"') || line.literal.starts_with("b"));
}

Result<Tokenizer> read_literal_vocabulary(std::string_view text, const std::string& source) {
  Collected collected;
  for (int number = 1; !text.empty(); ++number) {
    const std::string place = cat(source, ":", number);
    const std::string_view content = take_line(text);
    if (content.empty()) continue;
    Line line;
    if (!read_line(content, line)) {
      return fail(Code::bad_file,
                  cat(place, ": must be an id, a Python literal and a number of bytes, found ", quote(content)));
    }
    auto token = read_python_literal(line.literal);
    if (!token) return forward_failure(token, place);
    if (static_cast<std::int64_t>(token->size()) != line.bytes) {
      return fail(Code::bad_file, cat(place, ": the literal ", quote(line.literal), " has ", token->size(),
                                      " bytes, the line says ", line.bytes));
    }
    if (line.id == 0) {
      return fail(Code::bad_file, cat(place, ": gives the id 0 to ", quote(line.literal), "; 0 ends a text"));
    }
    if (auto added = collected.add(*std::move(token), line.id); !added) return forward_failure(added, place);
  }
  return finish(std::move(collected), 0, kEndOfText, source);
}

Result<Tokenizer> make_literal_tokenizer(std::span<const std::string_view> literals, const std::vector<bool>& matched,
                                         const std::string& source) {
  Collected collected;
  std::int32_t end_id = kNoToken;
  std::string_view end_text;
  for (std::size_t i = 0; i < literals.size(); ++i) {
    if (!matched[i]) {
      if (end_id == kNoToken) {
        end_id = static_cast<std::int32_t>(i);
        end_text = literals[i];
      }
      continue;
    }
    std::string_view rest = literals[i];
    auto token = read_inside(rest, 0, true);
    const std::string place = cat(source, ": token ", i);
    if (!token) return forward_failure(token, place);
    if (auto added = collected.add(*std::move(token), static_cast<std::int64_t>(i)); !added) {
      return forward_failure(added, place);
    }
  }
  if (end_id == kNoToken) {
    return fail(Code::bad_file, cat(source, ": none of the ", literals.size(), " tokens ends a text"));
  }
  return finish(std::move(collected), end_id, end_text, source);
}

}  // namespace corbel
