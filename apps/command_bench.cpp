#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/bench_arrivals.h"
#include "apps/bench_model.h"
#include "apps/command.h"
#include "apps/device_setup.h"
#include "apps/model_setup.h"
#include "apps/number_text.h"
#include "apps/terminal.h"
#include "corbel/compile/quant_names.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

namespace corbel::app {

int run_bench(const std::vector<std::string>& arguments);
int run_bench_serve(const std::vector<std::string>& arguments);

namespace {

struct BenchFlags {
  std::string model;   // as for run
  std::string config;  // a config.json alone
  bool dummy_weights = false;
  bool only_limits = false;
  bool json = false;
  std::string quant;
  std::string head_quant;  // of embedding and head
  bool huge_pages = false;
  std::vector<std::string> prefill, batch;
  std::optional<std::int64_t> decode, depth, repeat, arrive, arrive_prompt;
  DeviceChoice device;
};

/// Formats of dummy weights by the names that compile --quant takes, heads as it would have them.
Result<SeededFormats> dummy_formats(const BenchFlags& flags) {
  if (flags.quant.empty() || flags.quant == "bf16" || flags.quant == "f16" || flags.quant == "f32")
    return SeededFormats{};
  SeededFormats formats;
  if (flags.quant.starts_with("p_")) {  // an import: all of it as a GGUF file has it
    CORBEL_ASSIGN(formats.matrices, find_weight_format(flags.quant));
    formats.tables = formats.matrices;
  } else {
    CORBEL_ASSIGN(const QuantChoice choice, find_quant(flags.quant, 0));
    formats.matrices = choice.matrices;
    formats.tables = choice.heads;
  }
  if (flags.head_quant.starts_with("p_")) {
    CORBEL_ASSIGN(formats.tables, find_weight_format(flags.head_quant));
  } else if (!flags.head_quant.empty()) {
    CORBEL_ASSIGN(const QuantChoice choice, find_quant(flags.head_quant, 0));
    formats.tables = choice.matrices;
  }
  for (const WeightFormat* format : {formats.matrices, formats.tables}) {
    if (!format->can_encode() && format->packed == nullptr)
      return fail(Code::bad_request, cat("no dummy weights in format ", format->name));
  }
  return formats;
}

/// A model to measure and what to call it.
struct BenchSubject {
  std::string name;
  std::unique_ptr<TextModel> model;
  std::unique_ptr<OpenModel> open;  // what the model was read from; null with dummy weights

  const TextModel& text_model() const { return open != nullptr ? open->model() : *model; }
};

Result<std::vector<std::int64_t>> read_counts(std::string_view flag, const std::vector<std::string>& texts) {
  std::vector<std::int64_t> counts;
  for (const std::string& text : texts) {
    std::int64_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end.ec != std::errc() || end.ptr != text.data() + text.size() || value < 1 || value > (1 << 20)) {
      return fail(Code::bad_request, cat("--", flag, " is \"", text, "\"; expected a count from 1 to 1048576"));
    }
    counts.push_back(value);
  }
  return counts;
}

Result<BenchSubject> open_subject(const BenchFlags& flags, Device& device) {
  const auto families = linked_model_families();
  const ModelOptions options{flags.device.chosen_strategy(), flags.device.chosen_kv_cache()};
  if (flags.config.empty()) {
    CORBEL_ASSIGN(auto open, open_model({flags.model, flags.quant, flags.huge_pages}, flags.device, device));
    return BenchSubject{open->loaded.package->name(), nullptr, std::move(open)};
  }
  if (!flags.dummy_weights) {
    return fail(Code::bad_request,
                "--config names a config.json alone: add --dummy-weights, or give a model's folder instead");
  }
  CORBEL_ASSIGN(const Json config, read_json_file(flags.config));
  CORBEL_ASSIGN(const bool tied, JsonFields(config, flags.config).get_bool("tie_word_embeddings", false));
  const DType dtype = flags.quant == "f32" ? DType::f32 : flags.quant == "f16" ? DType::f16 : DType::bf16;
  const std::vector<std::string> untied = {"lm_head.weight"};
  CORBEL_ASSIGN(const SeededFormats formats, dummy_formats(flags));
  auto source = std::make_shared<SeededSource>(1, dtype, tied ? std::vector<std::string>() : untied, formats);
  CORBEL_ASSIGN(auto model, make_text_model(config, flags.config, std::move(source), device, families, options));
  return BenchSubject{std::filesystem::path(flags.config).stem().string(), std::move(model), nullptr};
}

Json limits_json(const MachineLimits& limits) {
  return {{"threads", limits.threads},
          {"read_bytes_per_s", limits.read_bytes_per_s},
          {"read_loop", limits.read_loop},
          {"read_buffer_bytes", limits.buffer_bytes},
          {"f32_ops_per_s", limits.f32_ops_per_s},
          {"bf16_ops_per_s", limits.bf16_ops_per_s},
          {"int8_ops_per_s", limits.int8_ops_per_s},
          {"tile_bf16_ops_per_s", limits.tile_bf16_ops_per_s},
          {"tile_int8_ops_per_s", limits.tile_int8_ops_per_s}};
}

std::string limits_text(const MachineLimits& limits) {
  const auto row = [](const char* what, double value, const char* unit, const std::string& note) {
    return value > 0.0 ? format("  %-22s %9.1f %-8s %s\n", what, value, unit, note.c_str()) : std::string();
  };
  std::string text = cat("limits of this machine, ", limits.threads, limits.threads == 1 ? " thread\n" : " threads\n");
  text += row("memory, read", limits.read_bytes_per_s / 1e9, "GB/s",
              cat(limits.read_loop, ", ", bytes_text(static_cast<std::int64_t>(limits.buffer_bytes))));
  text += row("int8", limits.int8_ops_per_s / 1e9, "GOPS", "");
  text += row("bf16", limits.bf16_ops_per_s / 1e9, "GFLOPS", "");
  text += row("f32", limits.f32_ops_per_s / 1e9, "GFLOPS", "");
  text += row("int8 tiles", limits.tile_int8_ops_per_s / 1e9, "GOPS", "not used by this level's kernels");
  text += row("bf16 tiles", limits.tile_bf16_ops_per_s / 1e9, "GFLOPS", "not used by this level's kernels");
  return text;
}

std::string rows_text(const std::vector<BenchRow>& rows) {
  std::string text =
      format("%-8s %7s %6s %10s %10s %9s  %s\n", "what", "tokens", "batch", "tok/s", "limit", "fraction", "bound by");
  for (const BenchRow& row : rows) {
    text +=
        format("%-8s %7lld %6lld %10.1f %10.1f %9.2f  %s\n", row.name.c_str(), static_cast<long long>(row.tokens),
               static_cast<long long>(row.batch), row.tok_per_s, row.limit, row.fraction_of_limit, row.bound.c_str());
    if (row.first_token_p50 > 0.0)
      text += format("  first tokens after %.2f s (half of them), %.2f s (95%%)\n", row.first_token_p50,
                     row.first_token_p95);
  }
  return text;
}

Json rows_json(const std::vector<BenchRow>& rows) {
  Json list = Json::array();
  for (const BenchRow& row : rows) {
    list.push_back({{"name", row.name},
                    {"tokens", row.tokens},
                    {"batch", row.batch},
                    {"tok_per_s", row.tok_per_s},
                    {"limit", row.limit},
                    {"fraction_of_limit", row.fraction_of_limit},
                    {"bound", row.bound},
                    {"seconds", row.seconds},
                    {"first_token_p50_s", row.first_token_p50},
                    {"first_token_p95_s", row.first_token_p95},
                    {"limits", limits_json(row.limits)}});
  }
  return list;
}

Result<void> bench_limits(const BenchFlags& flags, Device& device) {
  CORBEL_ASSIGN(const MachineLimits all, device.measure_limits({}));
  CORBEL_ASSIGN(const MachineLimits one, device.measure_limits({.threads = 1}));
  if (flags.json) {
    const Json report = {
        {"profile", device.info().profile()}, {"limits", limits_json(all)}, {"limits_one_thread", limits_json(one)}};
    print(report.dump(2) + "\n");
  } else {
    print(limits_text(all) + limits_text(one));
  }
  return {};
}

Result<void> bench(const BenchFlags& flags) {
  BenchSettings settings;
  CORBEL_ASSIGN(settings.prefill_tokens, read_counts("prefill", flags.prefill));
  if (!flags.batch.empty()) {
    CORBEL_ASSIGN(settings.batches, read_counts("batch", flags.batch));
  }
  const bool only_prefill = !flags.prefill.empty() && flags.batch.empty();
  settings.decode_tokens = flags.decode.value_or(only_prefill ? 0 : 64);
  if (flags.prefill.empty() && !flags.decode) settings.prefill_tokens = {512};
  settings.depth_tokens = flags.depth.value_or(0);
  settings.repeats = static_cast<int>(flags.repeat.value_or(3));

  CORBEL_ASSIGN(const OpenDevice open, open_device(flags.device));
  if (flags.only_limits) return bench_limits(flags, *open.device);
  CORBEL_ASSIGN(const BenchSubject subject, open_subject(flags, *open.device));
  std::vector<BenchRow> rows;
  if (!flags.prefill.empty() || !flags.batch.empty() || !flags.arrive) {
    CORBEL_ASSIGN(rows, bench_model(subject.text_model(), *open.device, settings));
  }
  if (flags.arrive) {
    const ArrivalSettings arrivals{.requests = *flags.arrive,
                                   .prompt_tokens = flags.arrive_prompt.value_or(100),
                                   .answer_tokens = flags.decode.value_or(64),
                                   .repeats = settings.repeats};
    CORBEL_ASSIGN(BenchRow row, bench_arrivals(subject.text_model(), *open.device, arrivals));
    rows.push_back(std::move(row));
  }
  const TextModelInfo& info = subject.text_model().info();
  const DeviceInfo& device = open.device->info();
  if (flags.json) {
    const Json report = {{"model", subject.name},
                         {"parameters", info.parameters},
                         {"weight_bytes", info.weight_bytes},
                         {"dummy_weights", flags.dummy_weights},
                         {"profile", device.profile()},
                         {"strategy", std::string(strategy_name(flags.device.chosen_strategy()))},
                         {"kv_cache", flags.device.kv_cache},
                         {"threads", device.threads},
                         {"limits", limits_json(rows.front().limits)},
                         {"results", rows_json(rows)}};
    print(report.dump(2) + "\n");
    return {};
  }
  print(cat(subject.name, ": ", info.parameters / 1000000, " M parameters, ", bytes_text(info.weight_bytes),
            " of weights, ", device.profile(), ", ", device.threads, device.threads == 1 ? " thread" : " threads",
            "\n\n", limits_text(rows.front().limits), "\n", rows_text(rows)));
  return {};
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.front() == "serve")
    return run_bench_serve({arguments.begin() + 1, arguments.end()});
  BenchFlags flags;
  CommandLine line("bench", "measure prefill and decode beside what the machine could do");
  line.text("model", flags.model, "artifact, GGUF file, folder, ORG/NAME or alias; without it the built-in model");
  line.text("config", flags.config, "a config.json alone, with --dummy-weights");
  line.toggle("dummy-weights", flags.dummy_weights, "weights made from a seed instead of a checkpoint");
  line.choice("quant", flags.quant,
              {"bf16", "f16", "f32", "w8", "w6", "w4", "w6g8", "w4g8", "w4g16", "p_q4_0", "p_q8_0", "p_q4_k", "p_q6_k",
               "p_iq4_xs"},
              "format of dummy weights (default bf16); a checkpoint is packed so, once, and kept in the cache");
  line.choice("head-quant", flags.head_quant, {"w8", "w6", "w4", "w6g8", "w4g8", "w4g16", "p_q8_0", "p_q6_k"},
              "format of dummy embeddings and heads (default: what compile --quant makes of them)");
  line.toggle("huge-pages", flags.huge_pages, "move an artifact's weights into 2 MB pages first");
  line.texts("prefill", flags.prefill, "prompt length; repeatable (default 512)");
  line.integer("decode", flags.decode, "tokens to decode (default 64; none beside --prefill alone)");
  line.texts("batch", flags.batch, "sequences decoded together; repeatable (default 1)");
  line.integer("depth", flags.depth, "context before the first decoded token (default 0)");
  line.integer("arrive", flags.arrive, "requests that arrive at the engine at once, --decode tokens each");
  line.integer("arrive-prompt", flags.arrive_prompt, "tokens of their prompts (default 100)");
  line.integer("repeat", flags.repeat, "runs per row, the median counts (default 3)");
  line.toggle("limits", flags.only_limits, "measure the machine alone");
  line.toggle("json", flags.json, "for machines");
  flags.device.add_flags(line);
  line.example("corbel bench --config config.json --dummy-weights --prefill 512 --decode 64 --json");
  line.example("corbel bench serve http://127.0.0.1:8000    (load on a server; corbel bench serve --help)");
  if (const auto code = line.parse(arguments)) return *code;
  for (const auto& [flag, value] : {std::pair{"decode", flags.decode},
                                    {"repeat", flags.repeat},
                                    {"depth", flags.depth},
                                    {"arrive", flags.arrive},
                                    {"arrive-prompt", flags.arrive_prompt}}) {
    if (value && (*value < (std::string_view(flag) == "depth" ? 0 : 1) || *value > (1 << 20))) {
      print_error(cat("--", flag, " is ", *value, "; expected 1 to 1048576"));
      return kWrongUsage;
    }
  }
  const auto done = bench(flags);
  return done ? kOk : report(done.error());
}

}  // namespace corbel::app
