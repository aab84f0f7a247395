// engine_latency_bench CONFIG [--prompt N]... [--streams N] [--layers N] [--threads N] [--stretch X] [--steps FILE]
// [--json]
//
// What a long prompt does to streams that are running, and what a known prefix saves. On 4-bit weights made from a seed
// for the shape of CONFIG (--layers: only so many of its layers): the time between tokens of N streams alone, then
// while a prompt arrives; how long the prompt took beside them and alone; and its first token when its pages are known.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/engine.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "tests/engine/byte_tokenizer.h"

namespace {

using namespace corbel;
using Clock = std::chrono::steady_clock;

struct Flags {
  std::string config;
  std::vector<std::int64_t> prompts;
  std::int64_t streams = 8;
  std::int64_t layers = 0;
  std::int64_t threads = 2;
  double stretch = EngineOptions{}.stretch;
  std::string steps;  // a file for the steps beside the prompt: rows, position, seconds
  bool json = false;
};

/// Times between tokens of one stream.
struct Gaps {
  Clock::time_point last = Clock::now();
  std::vector<double> seconds;
  void add() {
    const Clock::time_point now = Clock::now();
    seconds.push_back(std::chrono::duration<double>(now - last).count());
    last = now;
  }
};

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0.0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

std::vector<std::int32_t> ids(std::int64_t count, std::uint32_t state) {
  std::vector<std::int32_t> all;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    all.push_back(static_cast<std::int32_t>((state >> 8) % 1000));
  }
  return all;
}

struct Measured {
  std::int64_t prompt = 0;
  double alone_p50 = 0.0, alone_p99 = 0.0, beside_p50 = 0.0, beside_p99 = 0.0;
  double first_alone = 0.0, first_beside = 0.0, first_known = 0.0;
};

class Latency {
 public:
  Latency(StepRunner& runner, const Tokenizer& tokenizer, const Flags& flags)
      : flags_(flags), engine_(runner, tokenizer, options(flags)) {}

  Measured measure(std::int64_t prompt) {
    Measured measured{.prompt = prompt};
    measured.first_alone = first_token(ids(prompt, 5));
    start_streams();
    for (int warm = 0; warm < 20; ++warm) engine_.step();
    gaps_.seconds.clear();
    for (int step = 0; step < 60; ++step) engine_.step();
    measured.alone_p50 = percentile(gaps_.seconds, 0.5);
    measured.alone_p99 = percentile(gaps_.seconds, 0.99);
    gaps_.seconds.clear();
    steps_.clear();
    measured.first_beside = first_token(ids(prompt, 6));
    measured.beside_p50 = percentile(gaps_.seconds, 0.5);
    measured.beside_p99 = percentile(gaps_.seconds, 0.99);
    write_steps();
    for (const std::uint64_t stream : streams_) engine_.cancel(stream);
    streams_.clear();
    measured.first_known = first_token(ids(prompt, 5));
    return measured;
  }

 private:
  EngineOptions options(const Flags& flags) {
    EngineOptions options{.drafts = Drafts::none, .stretch = flags.stretch};
    options.on_step = [this](const StepReport& report) { steps_.push_back(report); };
    return options;
  }
  void write_steps() const {
    if (flags_.steps.empty()) return;
    std::FILE* const file = std::fopen(flags_.steps.c_str(), "w");
    CORBEL_CHECK(file != nullptr, "cannot write ", flags_.steps);
    std::fprintf(file, "decode_rows,prompt_rows,position,run_ms,deliver_ms\n");
    for (const StepReport& step : steps_)
      std::fprintf(file, "%lld,%lld,%.0f,%.3f,%.3f\n", static_cast<long long>(step.shape.decode_rows),
                   static_cast<long long>(step.shape.prompt_rows), step.shape.prompt_position, step.run_seconds * 1e3,
                   step.deliver_seconds * 1e3);
    std::fclose(file);
  }
  void start_streams() {
    for (std::int64_t i = 0; i < flags_.streams; ++i) {
      EngineRequest request{.prompt = ids(100, static_cast<std::uint32_t>(100 + i))};
      request.fills_context = true;
      if (i == 0) request.on_text = [this](const AnswerPiece&) { gaps_.add(); };
      const auto id = engine_.submit(std::move(request));
      CORBEL_CHECK(id.has_value(), id.error().message);
      streams_.push_back(*id);
    }
  }
  double first_token(std::vector<std::int32_t> prompt) {
    double seconds = 0.0;
    EngineRequest request{.prompt = std::move(prompt), .limits = {.max_tokens = 1}};
    request.on_end = [&](const GenerateResult& result) { seconds = result.figures.first_token_seconds; };
    const auto id = engine_.submit(std::move(request));
    CORBEL_CHECK(id.has_value(), id.error().message);
    while (seconds == 0.0) engine_.step();
    return seconds;
  }

  const Flags& flags_;
  Gaps gaps_;
  std::vector<StepReport> steps_;
  Engine engine_;
  std::vector<std::uint64_t> streams_;
};

void print(const std::vector<Measured>& all, const Flags& flags) {
  if (flags.json) {
    Json rows = Json::array();
    for (const Measured& one : all)
      rows.push_back({{"prompt_tokens", one.prompt},
                      {"streams", flags.streams},
                      {"between_tokens_p50_s", one.alone_p50},
                      {"between_tokens_p99_s", one.alone_p99},
                      {"beside_prompt_p50_s", one.beside_p50},
                      {"beside_prompt_p99_s", one.beside_p99},
                      {"first_token_alone_s", one.first_alone},
                      {"first_token_beside_s", one.first_beside},
                      {"first_token_known_s", one.first_known}});
    std::printf("%s\n", rows.dump(1).c_str());
    return;
  }
  std::printf("%8s  %23s  %23s  %14s  %27s\n", "prompt", "between tokens, ms", "beside the prompt, ms",
              "p99 / p99 alone", "its first token, s");
  std::printf("%8s  %11s %11s  %11s %11s  %15s  %8s %8s %9s\n", "tokens", "p50", "p99", "p50", "p99", "", "alone",
              "beside", "known");
  for (const Measured& one : all)
    std::printf("%8lld  %11.1f %11.1f  %11.1f %11.1f  %14.2fx  %8.2f %8.2f %9.3f\n", static_cast<long long>(one.prompt),
                one.alone_p50 * 1e3, one.alone_p99 * 1e3, one.beside_p50 * 1e3, one.beside_p99 * 1e3,
                one.beside_p99 / one.alone_p99, one.first_alone, one.first_beside, one.first_known);
}

Result<void> run(const Flags& flags) {
  CORBEL_ASSIGN(Json config, read_json_file(flags.config));
  if (flags.layers > 0) config["num_hidden_layers"] = flags.layers;
  CORBEL_ASSIGN(const std::unique_ptr<ThreadPool> pool, ThreadPool::make(static_cast<int>(flags.threads)));
  CORBEL_ASSIGN(const std::unique_ptr<Device> device, linked_devices().front().make({}, *pool));
  CORBEL_ASSIGN(const WeightFormat* const matrices, find_weight_format("w4g16"));
  CORBEL_ASSIGN(const WeightFormat* const tables, find_weight_format("w6g8"));
  auto source =
      std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>(), SeededFormats{matrices, tables});
  CORBEL_ASSIGN(const std::unique_ptr<TextModel> model,
                make_text_model(config, flags.config, std::move(source), *device, linked_model_families(), {}));
  const std::int64_t longest = std::ranges::max(flags.prompts);
  const std::int64_t context = longest + 1024;
  CORBEL_ASSIGN(StepRunner runner,
                StepRunner::make(*model, *device,
                                 {.step_rows = 512,
                                  .logit_rows = flags.streams + 1,
                                  .sequences = flags.streams + 1,
                                  .context_tokens = context,
                                  .pages = 3 * pages_of_tokens(context) + flags.streams * pages_of_tokens(4096)}));
  const Tokenizer tokenizer = make_byte_tokenizer();
  Latency latency(runner, tokenizer, flags);
  std::vector<Measured> all;
  for (const std::int64_t prompt : flags.prompts) all.push_back(latency.measure(prompt));
  print(all, flags);
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  Flags flags;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--json") {
      flags.json = true;
    } else if (!name.starts_with("--")) {
      flags.config = name;
    } else if (i + 1 < count) {
      const std::string_view text = arguments[++i];
      std::int64_t number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      if (name == "--prompt") flags.prompts.push_back(number);
      if (name == "--streams") flags.streams = number;
      if (name == "--steps") flags.steps = text;
      if (name == "--layers") flags.layers = number;
      if (name == "--threads") flags.threads = number;
      if (name == "--stretch") std::from_chars(text.data(), text.data() + text.size(), flags.stretch);
    }
  }
  if (flags.config.empty()) {
    std::fprintf(stderr,
                 "usage: engine_latency_bench CONFIG [--prompt N]... [--streams N] [--layers N] [--threads N] "
                 "[--stretch X] [--steps FILE] [--json]\n");
    return 2;
  }
  if (flags.prompts.empty()) flags.prompts = {8192};
  const auto done = run(flags);
  if (!done) std::fprintf(stderr, "engine_latency_bench: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
