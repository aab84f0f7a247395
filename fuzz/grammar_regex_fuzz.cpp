// A regex from a request: compiles or is refused with a message, and from every state that a walk reaches some
// byte is allowed or the text may end.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "corbel/grammar/machine.h"

using namespace corbel;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  GrammarOptions options;
  options.max_table_states = 2000;
  options.max_total_states = 10'000;
  options.max_work = 2'000'000;
  const auto grammar =
      compile_grammar(GrammarSource::regex(std::string(reinterpret_cast<const char*>(data), size)), options);
  if (!grammar) {
    if (grammar.error().message.empty()) std::abort();
    return 0;
  }
  Machine machine(std::make_shared<const Grammar>(*grammar));
  Machine::Id state = machine.start();
  std::uint32_t random = static_cast<std::uint32_t>(size) * 2654435761U + 1;
  for (int step = 0; step < 100; ++step) {
    Machine::Id next = Machine::kNothing;
    random = random * 1664525U + 1013904223U;
    for (unsigned i = 0; i < 256 && next == Machine::kNothing; ++i)
      next = machine.step(state, static_cast<std::uint8_t>((random >> 16) + i));
    if (next == Machine::kNothing) {
      if (!machine.may_end(state)) std::abort();
      break;
    }
    state = next;
  }
  return 0;
}
