#include <cstdint>
#include <string_view>

#include "fuzz/round_trip.h"

// A tokenizer file of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = corbel::Tokenizer::from_json(bytes, "fuzz.json");
  if (!tokenizer) return 0;
  corbel::check_round_trip(*tokenizer, bytes.substr(0, 4096));
  return 0;
}
