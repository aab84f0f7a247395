#include <cstdint>
#include <string>

#include "fuzz/grammar_walk.h"

// A JSON schema from a request.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  corbel::walk_grammar(corbel::GrammarSource::json_schema(text), size);
  return 0;
}
