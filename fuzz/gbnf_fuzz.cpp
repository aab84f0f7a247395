#include <cstdint>
#include <string>

#include "fuzz/grammar_walk.h"

// A grammar from a request.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  corbel::walk_grammar(corbel::GrammarSource::gbnf(text), size);
  return 0;
}
