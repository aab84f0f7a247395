#include "apps/compile_flags.h"

#include <algorithm>
#include <array>

namespace corbel::app {
namespace {

constexpr std::int64_t kMostContext = std::int64_t{1} << 24;

/// A flag as TPU toolchains spell it, what fills it, and what it becomes here.
struct ToolchainFlag {
  std::string_view names;
  std::string CompileFlags::* text;
  std::optional<std::int64_t> CompileFlags::* number;
  bool CompileFlags::* toggle;
  std::string_view meaning;
};
constexpr std::array<ToolchainFlag, 9> kToolchainFlags = {{
    {"-m,--model-path", &CompileFlags::model_path, nullptr, nullptr, "the model, as the positional argument"},
    {"-s,--seq-length", nullptr, &CompileFlags::sequence_length, nullptr,
     "a static profile of N tokens: as --context N, and prompts of at most --max-input-length"},
    {"-q,--quantize", &CompileFlags::quantize, nullptr, nullptr,
     "w4bf16, w4f16, w8bf16, w8f16, bf16, f16: as --quant, and the checkpoint must be of that 16-bit type"},
    {"-g,--q-group-size", nullptr, &CompileFlags::chunk_group, nullptr,
     "32, 64, 128 or 256: of w4, groups of 16, which are finer; 8 and 16 as --group"},
    {"-c,--chip", &CompileFlags::chip, nullptr, nullptr, "as --target"},
    {"--num-device", nullptr, &CompileFlags::devices, nullptr, "as --tensor-parallel"},
    {"--max-input-length", nullptr, &CompileFlags::input_length, nullptr,
     "longest prompt of a static profile (default: --seq-length)"},
    {"--dynamic", nullptr, nullptr, &CompileFlags::dynamic, "a dynamic profile, also with --seq-length"},
    {"--use-block-with-kv", nullptr, nullptr, &CompileFlags::block_with_kv,
     "dynamic, prompts in pieces of a quarter of --seq-length: what Corbel always does"},
}};

/// --quantize NAME is --quant with a promise about the checkpoint.
struct ToolchainQuant {
  std::string_view name;
  std::string_view quant;
  const WeightFormat& (*activations)();
};
constexpr std::array<ToolchainQuant, 8> kToolchainQuants = {{
    {"w4bf16", "w4", bf16_format},
    {"w4f16", "w4", f16_format},
    {"w8bf16", "w8", bf16_format},
    {"w8f16", "w8", f16_format},
    {"bf16", "bf16", bf16_format},
    {"f16", "f16", f16_format},
    {"f32", "f32", nullptr},
    {"auto", "auto", nullptr},
}};

/// Chips of such toolchains. Corbel's artifacts are for the processor that runs it.
constexpr std::array<std::string_view, 6> kChips = {"bm1684x", "bm1684x2", "bm1688", "bm1690", "cv186x", "cpu"};

Failure contradiction(std::string_view a, std::string_view b) {
  return fail(Code::bad_request, cat(a, " and ", b, " say two different things; give one of them"));
}

template <typename T>
Result<std::optional<T>> one_of(const std::optional<T>& a, std::string_view a_name, const std::optional<T>& b,
                                std::string_view b_name) {
  if (a && b && *a != *b) return contradiction(a_name, b_name);
  return a ? a : b;
}

Result<void> check_range(std::string_view flag, const std::optional<std::int64_t>& value, std::int64_t high) {
  if (!value || (*value >= 1 && *value <= high)) return {};
  return fail(Code::bad_request, cat(flag, " is ", *value, "; expected 1 to ", high));
}

Result<void> read_model_and_output(const CompileFlags& flags, CompileWishes& wishes) {
  if (flags.models.size() + (flags.model_path.empty() ? 0 : 1) != 1)
    return fail(Code::bad_request, "corbel compile MODEL -o FILE: one model");
  wishes.model = flags.models.empty() ? flags.model_path : flags.models.front();
  wishes.output = flags.output;
  if (wishes.output.empty() && !flags.dry_run)
    return fail(Code::bad_request, "corbel compile MODEL -o FILE: say where to write, or --dry-run");
  return {};
}

Result<void> read_quant(const CompileFlags& flags, CompileWishes& wishes) {
  if (!flags.quant.empty() && !flags.quantize.empty()) return contradiction("--quant", "--quantize");
  if (!flags.quant.empty()) wishes.quant = flags.quant;
  if (!flags.quantize.empty()) {
    const auto found = std::find_if(kToolchainQuants.begin(), kToolchainQuants.end(),
                                    [&](const ToolchainQuant& entry) { return entry.name == flags.quantize; });
    if (found == kToolchainQuants.end()) {
      std::string known;
      for (const ToolchainQuant& entry : kToolchainQuants) known += cat(known.empty() ? "" : ", ", entry.name);
      return fail(Code::bad_request, cat("--quantize is \"", flags.quantize.substr(0, 40), "\"; known: ", known));
    }
    wishes.quant = found->quant;
    if (found->activations != nullptr) wishes.activations = &found->activations();
  }
  std::optional<std::int64_t> chunk_group = flags.chunk_group;
  if (chunk_group && (*chunk_group == 32 || *chunk_group == 64 || *chunk_group == 128 || *chunk_group == 256)) {
    const bool grouped = wishes.quant == "w4" || wishes.quant == "auto";
    wishes.notes.push_back(cat("--q-group-size ", *chunk_group,
                               grouped ? ": Corbel's groups are finer at the same size, 16"
                                       : cat(": ", wishes.quant, " has no groups to choose; nothing changes")));
    chunk_group.reset();
  }
  CORBEL_ASSIGN(const auto group, one_of(flags.group, "--group", chunk_group, "--q-group-size"));
  CORBEL_TRY(check_range("--group", group, 256));
  wishes.group = group.value_or(0);
  if (flags.bits && wishes.quant != "auto")
    return fail(Code::bad_request,
                cat("--bits chooses formats by itself; ", flags.quantize.empty() ? "--quant " : "--quantize ",
                    flags.quantize.empty() ? flags.quant : flags.quantize, " does, too"));
  if (flags.bits && !(*flags.bits >= 4.25 && *flags.bits <= 16.0))
    return fail(Code::bad_request, cat("--bits is ", *flags.bits, "; expected 4.25 to 16"));
  if (!flags.method.empty()) {
    CORBEL_ASSIGN(wishes.method, find_quant_method(flags.method));
  }
  return {};
}

Result<void> read_limits(const CompileFlags& flags, CompileWishes& wishes) {
  CORBEL_ASSIGN(const auto context, one_of(flags.context, "--context", flags.sequence_length, "--seq-length"));
  CORBEL_TRY(check_range("--context", context, kMostContext));
  CORBEL_TRY(check_range("--max-input-length", flags.input_length, kMostContext));
  if (flags.block_with_kv && flags.input_length)
    return fail(Code::bad_request,
                "--use-block-with-kv sets the longest piece of a prompt by itself; leave --max-input-length out");
  if (flags.dynamic && flags.input_length)
    return fail(Code::bad_request,
                "--dynamic makes a profile without limits; leave --max-input-length out, or --dynamic");
  if (flags.input_length && !context)
    return fail(Code::bad_request, "--max-input-length belongs to a static profile: give --seq-length, too");
  if (flags.input_length && *flags.input_length > *context)
    return fail(Code::bad_request, cat("--max-input-length is ", *flags.input_length, ", more than the ", *context,
                                       " tokens of --seq-length"));
  const bool is_static = context && !flags.dynamic && !flags.block_with_kv;
  if (context && !is_static) wishes.notes.emplace_back("a dynamic profile: its context is what fits into memory");
  if (is_static) wishes.limits = {true, *context, flags.input_length.value_or(0)};
  return {};
}

Result<void> read_target(const CompileFlags& flags, CompileWishes& wishes) {
  if (!flags.target.empty() && !flags.chip.empty() && flags.target != flags.chip)
    return contradiction("--target", "--chip");
  const std::string& target = flags.target.empty() ? flags.chip : flags.target;
  if (!target.empty() && std::find(kChips.begin(), kChips.end(), target) == kChips.end()) {
    std::string known;
    for (const std::string_view chip : kChips) known += cat(known.empty() ? "" : ", ", chip);
    return fail(Code::bad_request, cat("--target is \"", target.substr(0, 40), "\"; known: ", known));
  }
  if (!target.empty() && target != "cpu")
    wishes.notes.push_back(cat("target ", target, ": the artifact is laid out for cpu, where Corbel runs it"));
  CORBEL_ASSIGN(const auto ranks, one_of(flags.ranks, "--tensor-parallel", flags.devices, "--num-device"));
  CORBEL_TRY(check_range("--tensor-parallel", ranks, 1024));
  if (ranks && *ranks > 1)
    return fail(Code::unsupported,
                cat("--tensor-parallel ", *ranks, ": artifacts for several ranks are not made yet; 1 is"));
  return {};
}

}  // namespace

void CompileFlags::add_to(CommandLine& line) {
  line.positionals("model", models, "folder, GGUF file, artifact, ORG/NAME or alias");
  line.text("-o,--output,--out-dir", output, "the artifact to write, FILE.corbel");
  line.choice("quant", quant, quant_names(), "formats of the weights (default auto: w4, or a GGUF file's own bits)");
  line.integer("group", group, "columns that share a multiplier: w4 16 or 8, w6 8");
  line.number("bits", bits, "mixed formats of at most so many bits per weight, where they cost least");
  line.choice("method", method, {"fast", "mse", "gptq"}, "how scales are found (default mse)");
  line.text("calibration", calibration, "a text whose activations say which columns count; \"builtin\", \"none\"");
  line.texts("keep", keep, "REGEX=FORMAT for tensors whose names match; repeatable, the first match holds");
  line.text("target", target, "what the artifact is for (default cpu)");
  line.integer("context", context, "a static profile: most tokens of a sequence");
  line.integer("tensor-parallel", ranks, "ranks that share the model (1)");
  line.toggle("dry-run", dry_run, "print the plan, write nothing");
  line.toggle("resume", resume, "go on from what an interrupted run left; keep it when this one is interrupted");
  line.toggle("force", force, "take 16-bit types that do not fit the checkpoint");
  line.toggle("allow-nonfinite", allow_nonfinite, "take NaN and infinite weights as zeros");
  line.text("report", report_file, "write errors per tensor to this JSON file");
  line.toggle("json", json, "for machines");
  for (const ToolchainFlag& flag : kToolchainFlags) {
    if (flag.text != nullptr) line.text(flag.names, this->*flag.text, flag.meaning);
    if (flag.number != nullptr) line.integer(flag.names, this->*flag.number, flag.meaning);
    if (flag.toggle != nullptr) line.toggle(flag.names, this->*flag.toggle, flag.meaning);
  }
  device.add_flags(line);
  line.example("corbel compile meta-llama/Llama-3.2-1B -o llama.corbel");
  line.example("corbel compile model.gguf -o model.corbel");
  line.example("corbel compile MODEL -o model.corbel --bits 4.5 --calibration notes.txt --keep \"down_proj=w6g8\"");
}

Result<CompileWishes> read_wishes(const CompileFlags& flags) {
  CompileWishes wishes;
  CORBEL_TRY(read_model_and_output(flags, wishes));
  CORBEL_TRY(read_quant(flags, wishes));
  CORBEL_TRY(read_limits(flags, wishes));
  CORBEL_TRY(read_target(flags, wishes));
  return wishes;
}

}  // namespace corbel::app
