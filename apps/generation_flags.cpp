#include "apps/generation_flags.h"

#include <charconv>
#include <random>

#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

/// Receipts show seeds as JSON integers: 53 bits survive every reader.
std::uint64_t draw_seed() {
  std::random_device device;
  return ((std::uint64_t{device()} << 32) | device()) >> 11;
}

/// "ID=BIAS".
Result<TokenBias> read_bias(const std::string& text) {
  const std::size_t sign = text.find('=');
  const char* const end = text.data() + text.size();
  TokenBias entry;
  const auto id = std::from_chars(text.data(), text.data() + std::min(sign, text.size()), entry.id);
  if (sign != std::string::npos && id.ec == std::errc() && id.ptr == text.data() + sign) {
    const auto bias = std::from_chars(id.ptr + 1, end, entry.bias);
    if (bias.ec == std::errc() && bias.ptr == end) return entry;
  }
  return fail(Code::bad_request,
              cat("--logit-bias is ", quote(text), "; it must be a token's id and a number, like 42=-1.5"));
}

}  // namespace

void GenerationFlags::add_flags(CommandLine& line) {
  line.number("--temperature", temperature, "0: always the most likely token; higher: more variety");
  line.integer("--top-k", top_k, "sample from the K most likely tokens; 0: all");
  line.number("--top-p", top_p, "sample from the fewest tokens whose probabilities add up to P");
  line.number("--min-p", min_p, "leave out tokens less than P times as likely as the most likely one");
  line.number("--typical-p", typical_p, "sample from the tokens of about average surprise that add up to P");
  line.number("--repetition-penalty", repetition_penalty, "above 1: tokens that occurred become less likely");
  line.number("--presence-penalty", presence_penalty, "taken from the logits of tokens that the answer has (-2 to 2)");
  line.number("--frequency-penalty", frequency_penalty, "taken once for each time that the answer has them (-2 to 2)");
  line.integer("--penalty-window", penalty_window, "penalties see only the latest N tokens; 0: all");
  line.texts("--logit-bias", logit_bias, "ID=BIAS, added to a token's logit (-100 to 100); may be given several times");
  line.number("--xtc-probability", xtc_probability,
              "how often the likeliest choices but the last of them are left out");
  line.number("--xtc-threshold", xtc_threshold, "which choices that means: at least so likely (default 0.1)");
  line.number("--dry-multiplier", dry_multiplier, "tokens that would make a repetition longer lose this (DRY)");
  line.number("--dry-base", dry_base, "so many times more for each token that is repeated (default 1.75)");
  line.integer("--dry-allowed-length", dry_allowed_length, "repetitions of fewer tokens cost nothing (default 2)");
  line.integer("--dry-penalty-last-n", dry_penalty_last_n, "repetitions of the latest N tokens (default -1: all)");
  line.integer("--seed", seed, "the same seed gives the same answer");
  line.integer("--max-tokens", max_tokens, "of one answer (default 1024; 0: until the context is full)");
  line.integer("--min-tokens", min_tokens, "nothing ends the answer before so many tokens");
  line.toggle("--ignore-eos", ignore_eos, "the model cannot end its answer; --max-tokens does");
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
  CORBEL_TRY(at_least("--min-tokens", min_tokens, 0));
  CORBEL_TRY(at_least("--context", context, 1));
  CORBEL_TRY(at_least("--seed", seed, 0));
  for (const std::string& text : logit_bias) CORBEL_TRY(read_bias(text));
  const GenerateOptions options = this->options({});
  CORBEL_TRY(options.limits().validate());
  return options.sampling.validate();
}

GenerateOptions GenerationFlags::options(const GenerationDefaults& defaults) const {
  GenerateOptions options = generate_options(defaults);
  SamplingOptions& sampling = options.sampling;
  sampling.temperature = temperature.value_or(sampling.temperature);
  sampling.top_k = top_k.value_or(sampling.top_k);
  sampling.top_p = top_p.value_or(sampling.top_p);
  sampling.min_p = min_p.value_or(sampling.min_p);
  sampling.typical_p = typical_p.value_or(sampling.typical_p);
  sampling.repetition_penalty = repetition_penalty.value_or(sampling.repetition_penalty);
  sampling.presence_penalty = presence_penalty.value_or(sampling.presence_penalty);
  sampling.frequency_penalty = frequency_penalty.value_or(sampling.frequency_penalty);
  sampling.penalty_window = penalty_window.value_or(sampling.penalty_window);
  sampling.xtc_probability = xtc_probability.value_or(sampling.xtc_probability);
  sampling.dry_multiplier = dry_multiplier.value_or(sampling.dry_multiplier);
  sampling.dry_base = dry_base.value_or(sampling.dry_base);
  sampling.dry_allowed_length = dry_allowed_length.value_or(sampling.dry_allowed_length);
  sampling.dry_penalty_last_n = dry_penalty_last_n.value_or(sampling.dry_penalty_last_n);
  sampling.xtc_threshold = xtc_threshold.value_or(sampling.xtc_threshold);
  for (const std::string& text : logit_bias) {
    if (const auto entry = read_bias(text)) sampling.logit_bias.push_back(*entry);
  }
  sampling.sort_bias();
  sampling.seed = seed ? static_cast<std::uint64_t>(*seed) : !sampling.is_greedy() ? draw_seed() : 0;
  options.max_tokens = max_tokens.value_or(options.max_tokens);
  options.min_tokens = min_tokens.value_or(options.min_tokens);
  options.ignore_eos = ignore_eos;
  options.stop_strings = stop;
  options.on_full = on_full == "slide" ? OnFull::slide : OnFull::stop;
  return options;
}

}  // namespace corbel::app
