#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "corbel/text/tiktoken_file.h"
#include "fuzz/round_trip.h"

// A rank file of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // Lines are read before the number of ranks chooses the rest.
  const corbel::Json config = corbel::Json::object();
  const auto tokenizer = corbel::read_rank_file(bytes, "fuzz.tiktoken", corbel::JsonFields(config, "config"));
  std::string decoded_base64;
  static_cast<void>(corbel::append_base64(bytes, decoded_base64));
  if (!tokenizer) return 0;
  corbel::check_round_trip(*tokenizer, bytes.substr(0, 2048));
  return 0;
}
