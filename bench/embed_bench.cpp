// embed_bench CONFIG [--tokens N]... [--texts N] [--layers N] [--threads N] [--quant FORMAT] [--json]
//
// Texts that become vectors, many short ones or few long ones, on weights made from a seed for the shape of CONFIG:
// tokens a second, beside what the machine's arithmetic allows (linear layers at the int8 peak, attention at the bf16
// peak, both probed in the same minute), and how full the steps were.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/device/limits.h"
#include "corbel/engine/embed.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

namespace {

using namespace corbel;

struct Flags {
  std::string config;
  std::string quant = "w8";
  std::vector<std::int64_t> tokens;
  std::int64_t texts = 0;  // 0: as many as make 4096 tokens
  std::int64_t layers = 0;
  std::int64_t threads = 2;
  bool json = false;
};

struct Row {
  std::int64_t tokens = 0;
  std::int64_t texts = 0;
  double seconds = 0.0;
  double limit_seconds = 0.0;
  double rows_per_step = 0.0;
};

/// What arithmetic alone takes: each row's linear layers, and the keys that it sees.
double limit_of(const TextModelInfo& info, std::int64_t tokens, std::int64_t texts, const MachineLimits& limits) {
  const auto rows = static_cast<double>(tokens * texts);
  const double keys = rows * static_cast<double>(tokens + 1) / 2.0;
  const auto seconds = [&](const Operations& ops, double times) {
    return times * (static_cast<double>(ops.f32) / limits.f32_ops_per_s +
                    static_cast<double>(ops.bf16) / std::max(limits.bf16_ops_per_s, 1.0) +
                    static_cast<double>(ops.int8) / std::max(limits.int8_ops_per_s, 1.0));
  };
  return seconds(info.ops_per_row, rows) + seconds(info.attention_ops_per_key, keys);
}

Result<Row> measure(StepRunner& runner, Device& device, std::int64_t tokens, std::int64_t texts) {
  std::vector<std::vector<std::int32_t>> all(static_cast<std::size_t>(texts));
  std::uint32_t state = 7;
  for (auto& ids : all) {
    for (std::int64_t i = 0; i < tokens; ++i) {
      state = state * 1664525U + 1013904223U;
      ids.push_back(static_cast<std::int32_t>((state >> 8) % 1000));
    }
  }
  CORBEL_ASSIGN(Embedder embedder, Embedder::make(runner));
  CORBEL_ASSIGN(const MachineLimits limits, device.measure_limits({}));
  const auto begin = std::chrono::steady_clock::now();
  CORBEL_TRY(embed_texts(embedder, all, {}));
  Row row{.tokens = tokens, .texts = texts};
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  row.limit_seconds = limit_of(runner.model().info(), tokens, texts, limits);
  row.rows_per_step = static_cast<double>(tokens * texts) / static_cast<double>(embedder.steps());
  return row;
}

void print(const std::vector<Row>& rows, bool json) {
  Json list = Json::array();
  if (!json)
    std::printf("%8s %7s %12s %12s %9s %14s\n", "tokens", "texts", "tokens/s", "texts/s", "of limit", "rows a step");
  for (const Row& row : rows) {
    const double rate = static_cast<double>(row.tokens * row.texts) / row.seconds;
    list.push_back({{"tokens", row.tokens},
                    {"texts", row.texts},
                    {"tok_per_s", rate},
                    {"of_limit", row.limit_seconds / row.seconds},
                    {"rows_per_step", row.rows_per_step}});
    if (!json)
      std::printf("%8lld %7lld %12.1f %12.1f %9.2f %14.1f\n", static_cast<long long>(row.tokens),
                  static_cast<long long>(row.texts), rate, rate / static_cast<double>(row.tokens),
                  row.limit_seconds / row.seconds, row.rows_per_step);
  }
  if (json) std::printf("%s\n", list.dump(1).c_str());
}

Result<void> run(const Flags& flags) {
  CORBEL_ASSIGN(Json config, read_json_file(flags.config));
  if (flags.layers > 0) config["num_hidden_layers"] = flags.layers;
  CORBEL_ASSIGN(const std::unique_ptr<ThreadPool> pool, ThreadPool::make(static_cast<int>(flags.threads)));
  CORBEL_ASSIGN(const std::unique_ptr<Device> device, linked_devices().front().make({}, *pool));
  CORBEL_ASSIGN(const WeightFormat* const format, find_weight_format(flags.quant));
  auto source =
      std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>(), SeededFormats{format, format});
  CORBEL_ASSIGN(const std::unique_ptr<TextModel> model,
                make_text_model(config, flags.config, std::move(source), *device, linked_model_families(), {}));
  // As `corbel embed` has them.
  const std::int64_t longest = std::max<std::int64_t>(std::ranges::max(flags.tokens), 512);
  RunnerLimits limits{
      .step_rows = 512, .logit_rows = 0, .hidden_rows = 512, .sequences = 64, .context_tokens = longest};
  limits.pages = pages_of_tokens(longest) + 64 + pages_of_tokens(limits.step_rows);
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(*model, *device, limits));
  std::vector<Row> rows;
  CORBEL_TRY(measure(runner, *device, 64, 8));  // warms up
  for (const std::int64_t tokens : flags.tokens) {
    const std::int64_t texts = flags.texts > 0 ? flags.texts : std::max<std::int64_t>(1, 4096 / tokens);
    CORBEL_ASSIGN(const Row row, measure(runner, *device, tokens, texts));
    rows.push_back(row);
  }
  print(rows, flags.json);
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  Flags flags;
  const std::map<std::string_view, std::int64_t*> numbers = {
      {"--texts", &flags.texts}, {"--layers", &flags.layers}, {"--threads", &flags.threads}};
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
      if (name == "--quant") flags.quant = text;
      if (name == "--tokens") flags.tokens.push_back(number);
      if (const auto found = numbers.find(name); found != numbers.end()) *found->second = number;
    }
  }
  if (flags.config.empty()) {
    std::fprintf(stderr,
                 "usage: embed_bench CONFIG [--tokens N]... [--texts N] [--layers N] [--threads N] [--quant FORMAT] "
                 "[--json]\n");
    return 2;
  }
  if (flags.tokens.empty()) flags.tokens = {8, 32, 128, 512};
  const auto done = run(flags);
  if (!done) std::fprintf(stderr, "embed_bench: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
