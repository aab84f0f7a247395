#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "corbel/text/literal_vocabulary.h"
#include "corbel/text/unicode.h"

// A vocabulary of literals of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(corbel::read_python_literal(bytes));
  const auto tokenizer = corbel::read_literal_vocabulary(bytes, "fuzz.txt");
  if (!tokenizer) return 0;
  const auto ids = tokenizer->encode(bytes.substr(0, 2048), {.invalid_utf8 = corbel::InvalidUtf8::replace});
  if (!ids) return 0;
  const std::string text = tokenizer->decode(*ids);
  if (corbel::valid_utf8_prefix(text) != text.size()) std::abort();
  corbel::StreamDecoder stream(*tokenizer);
  std::string streamed;
  for (const std::int32_t id : *ids) streamed += stream.push(id);
  streamed += stream.finish();
  if (streamed != text) std::abort();
  return 0;
}
