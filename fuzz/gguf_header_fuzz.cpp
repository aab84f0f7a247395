#include <cstdint>
#include <cstdlib>
#include <span>

#include "corbel/base/gguf_header.h"
#include "corbel/text/gguf_tokenizer.h"
#include "corbel/text/unicode.h"

// A GGUF file of any bytes is refused or gives its values; where it holds a tokenizer, that encodes and decodes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto header = corbel::GgufHeader::parse(std::as_bytes(std::span(data, size)), "fuzz.gguf");
  if (!header) return 0;
  for (const std::string_view key : header->keys()) {
    static_cast<void>(header->get_strings(key));
    static_cast<void>(header->get_floats(key));
    static_cast<void>(header->get_ints(key));
    static_cast<void>(header->get_int(key, 0, 0, 100));
  }
  const auto tokenizer = corbel::read_gguf_tokenizer(*header);
  if (!tokenizer) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 2048));
  const auto ids = tokenizer->encode(text, {.invalid_utf8 = corbel::InvalidUtf8::replace});
  if (!ids) return 0;
  const std::string decoded = tokenizer->decode(*ids);
  if (corbel::valid_utf8_prefix(decoded) != decoded.size()) std::abort();
  return 0;
}
