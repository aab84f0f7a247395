#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "corbel/text/sentencepiece_tokenizer.h"
#include "corbel/text/unicode.h"

// A SentencePiece file of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto spec = corbel::read_sentencepiece_file(bytes, "fuzz.model");
  if (!spec) return 0;
  const auto tokenizer = corbel::make_sentencepiece_tokenizer(*spec, {}, "fuzz.model");
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
