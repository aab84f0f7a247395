#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "corbel/grammar/machine.h"

namespace corbel {

/// The source compiles or is refused with a message, and from every state that a walk reaches some byte is allowed or
/// the text may end.
inline void walk_grammar(const GrammarSource& source, std::size_t seed) {
  GrammarOptions options;
  options.max_table_states = 2000;
  options.max_total_states = 10'000;
  options.max_work = 2'000'000;
  const auto grammar = compile_grammar(source, options);
  if (!grammar) {
    if (grammar.error().message.empty()) std::abort();
    return;
  }
  Machine machine(std::make_shared<const Grammar>(*grammar));
  Machine::Id state = machine.start();
  std::uint32_t random = static_cast<std::uint32_t>(seed) * 2654435761U + 1;
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
}

}  // namespace corbel
