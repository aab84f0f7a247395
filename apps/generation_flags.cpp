#include "apps/generation_flags.h"

#include <random>

namespace corbel::app {
namespace {

/// Receipts show seeds as JSON integers: 53 bits survive every reader.
std::uint64_t draw_seed() {
  std::random_device device;
  return ((std::uint64_t{device()} << 32) | device()) >> 11;
}

}  // namespace

void GenerationFlags::add_flags(CommandLine& line) {
  line.number("--temperature", temperature, "0: always the most likely token; higher: more variety");
  line.integer("--top-k", top_k, "sample from the K most likely tokens; 0: all");
  line.number("--top-p", top_p, "sample from the fewest tokens whose probabilities add up to P");
  line.number("--min-p", min_p, "leave out tokens less than P times as likely as the most likely one");
  line.number("--repetition-penalty", repetition_penalty, "above 1: tokens that occurred become less likely");
  line.integer("--seed", seed, "the same seed gives the same answer");
  line.integer("--max-tokens", max_tokens, "of one answer (default 1024; 0: until the context is full)");
  line.texts("--stop", stop, "text that ends the answer; may be given several times");
  line.text("--system", system, "system message");
  line.toggle("--raw", raw, "the prompt as it is, without the model's chat template");
  line.integer("--context", context, "tokens of prompt and answer together");
  line.choice("--on-full", on_full, {"stop", "slide"}, "a full context ends the answer, or drops its oldest part");
  line.toggle("--json", json, "one JSON object per answer");
}

Result<void> GenerationFlags::validate() const {
  const auto at_least = [](std::string_view flag, const std::optional<std::int64_t>& value,
                           std::int64_t least) -> Result<void> {
    if (!value || *value >= least) return {};
    return fail(Code::bad_request, cat(flag, " is ", *value, "; it must be ", least, " or more"));
  };
  if (raw && !system.empty()) {
    return fail(Code::bad_request, "--system needs the model's chat template, which --raw leaves out");
  }
  CORBEL_TRY(at_least("--max-tokens", max_tokens, 0));
  CORBEL_TRY(at_least("--context", context, 1));
  CORBEL_TRY(at_least("--seed", seed, 0));
  return options({}).sampling.validate();
}

GenerateOptions GenerationFlags::options(const GenerationDefaults& defaults) const {
  GenerateOptions options = generate_options(defaults);
  SamplingOptions& sampling = options.sampling;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.repetition_penalty = repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.seed = seed ? static_cast<std::uint64_t>(*seed) : sampling.temperature > 0.0 ? draw_seed() : 0;
  options.max_tokens = max_tokens.value_or(options.max_tokens);
  options.stop_strings = stop;
  options.on_full = on_full == "slide" ? OnFull::slide : OnFull::stop;
  return options;
}

}  // namespace corbel::app
