#include <cstdint>
#include <string_view>

#include "corbel/text/sentencepiece_tokenizer.h"
#include "fuzz/round_trip.h"

// A SentencePiece file of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto spec = corbel::read_sentencepiece_file(bytes, "fuzz.model");
  if (!spec) return 0;
  const auto tokenizer = corbel::make_sentencepiece_tokenizer(*spec, {}, "fuzz.model");
  if (!tokenizer) return 0;
  corbel::check_round_trip(*tokenizer, bytes.substr(0, 2048));
  return 0;
}
