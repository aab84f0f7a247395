#include <cstdint>
#include <string_view>

#include "corbel/text/literal_vocabulary.h"
#include "fuzz/round_trip.h"

// A vocabulary of literals of any bytes is refused or makes a tokenizer that encodes, and decodes to valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static_cast<void>(corbel::read_python_literal(bytes));
  const auto tokenizer = corbel::read_literal_vocabulary(bytes, "fuzz.txt");
  if (!tokenizer) return 0;
  corbel::check_round_trip(*tokenizer, bytes.substr(0, 2048));
  return 0;
}
