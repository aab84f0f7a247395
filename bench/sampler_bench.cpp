// sampler_bench [--json FILE]: microseconds that choosing a token takes on a vocabulary of 128,256, for the options
// that people use, beside a pass that only reads the logits (16 rows in turn, so that they do not come from the nearest
// cache) and beside a decode step of 27 ms (Llama-3.2-1B's shape, 4-bit, two Zen 4 cores).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/mapped_file.h"
#include "corbel/engine/logprobs.h"
#include "corbel/engine/sampler.h"
#include "corbel/engine/sampler_passes.h"

namespace {

using namespace corbel;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kVocab = 128256;
constexpr std::size_t kRows = 16;
constexpr int kRounds = 12;  // of all rows
constexpr double kStepMicros = 27000.0;
constexpr std::size_t kPromptTokens = 2048;
constexpr std::size_t kAnswerTokens = 512;

/// Logits of `spread` around 0 and, where `peaks` says so, a few tokens that stand out: as a trained model answers.
std::vector<std::vector<float>> make_rows(float spread, bool peaks) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<std::vector<float>> rows(kRows, std::vector<float>(kVocab));
  for (auto& row : rows) {
    for (float& logit : row) logit = normal(random);
    for (int i = 0; peaks && i < 12; ++i) row[random() % kVocab] = 12.0F + normal(random);
  }
  return rows;
}

std::vector<std::int32_t> make_history() {
  std::mt19937 random(2);
  std::vector<std::int32_t> history(kPromptTokens + kAnswerTokens);
  for (auto& id : history) id = static_cast<std::int32_t>(random() % 4 == 0 ? random() % kVocab : random() % 2000);
  return history;
}

/// A mask in which each token is allowed with this probability; token 17 always is.
std::vector<std::uint64_t> make_mask(double allowed) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::vector<std::uint64_t> mask(static_cast<std::size_t>(logit_blocks(kVocab)));
  for (std::int64_t id = 0; id < kVocab; ++id) {
    if (id == 17 || uniform(random) < allowed) mask[static_cast<std::size_t>(id / 64)] |= std::uint64_t{1} << (id % 64);
  }
  return mask;
}

struct Case {
  std::string name;
  SamplingOptions options;
  double allowed = 1.0;  // share of the vocabulary; below 1: by a mask
  std::int64_t logprobs = -1;
};

std::vector<Case> cases() {
  SamplingOptions biased{.temperature = 0.8};
  for (std::int32_t id = 0; id < 300; ++id) biased.logit_bias.push_back({id * 400, 2.0F});
  return {
      {"greedy", {}},
      {"temperature", {.temperature = 0.8}},
      {"temperature top_p", {.temperature = 0.8, .top_p = 0.95}},
      {"temperature top_k", {.temperature = 0.8, .top_k = 40}},
      {"temperature top_k 1000", {.temperature = 0.8, .top_k = 1000}},
      {"temperature top_k 5000", {.temperature = 0.8, .top_k = 5000}},
      {"temperature min_p", {.temperature = 0.8, .min_p = 0.05}},
      {"temperature typical_p", {.temperature = 0.8, .typical_p = 0.9}},
      {"temperature top_k top_p min_p", {.temperature = 0.8, .top_k = 40, .top_p = 0.95, .min_p = 0.05}},
      {"repetition top_p", {.temperature = 0.8, .top_p = 0.95, .repetition_penalty = 1.1}},
      {"presence frequency top_p",
       {.temperature = 0.8, .top_p = 0.95, .presence_penalty = 0.5, .frequency_penalty = 0.5}},
      {"greedy repetition", {.repetition_penalty = 1.1}},
      {"bias", biased},
      {"xtc", {.temperature = 0.8, .xtc_probability = 1.0}},
      {"mask of few, greedy", {}, 1e-4},
      {"mask of few", {.temperature = 0.8, .top_p = 0.95}, 1e-4},
      {"mask of half", {.temperature = 0.8, .top_p = 0.95}, 0.5},
      {"mask of most", {.temperature = 0.8, .top_p = 0.95}, 0.99},
      {"temperature top_p, 20 logprobs", {.temperature = 0.8, .top_p = 0.95}, 1.0, 20},
      {"greedy, 1 logprob", {}, 1.0, 0},
  };
}

/// Median microseconds of `work` on one row.
double median_micros(const std::function<void(std::size_t)>& work) {
  std::vector<double> times;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t row = 0; row < kRows; ++row) {
      const auto begin = Clock::now();
      work(row);
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    }
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

Json measure(const std::string& kind, const std::vector<std::vector<float>>& rows) {
  const auto history = make_history();
  std::vector<float> highest(static_cast<std::size_t>(logit_blocks(kVocab)));
  Sampler sampler(kVocab);
  Logprobs logprobs(kVocab);
  const double reading = median_micros([&](std::size_t row) { highest_of_blocks(rows[row], highest); });
  std::printf("%s: reading the logits takes %.1f us\n%-34s %9s %9s %10s\n", kind.c_str(), reading, "", "us", "readings",
              "of a step");
  Json report = Json::array();
  for (const Case& each : cases()) {
    const auto mask = each.allowed < 1.0 ? make_mask(each.allowed) : std::vector<std::uint64_t>();
    std::uint64_t position = kPromptTokens + kAnswerTokens;
    const double micros = median_micros([&](std::size_t row) {
      const std::int32_t id = sampler.sample({.logits = rows[row],
                                              .history = history,
                                              .prompt_tokens = kPromptTokens,
                                              .options = each.options,
                                              .position = position++,
                                              .allowed = mask});
      if (each.logprobs >= 0) logprobs.of(rows[row], id, each.logprobs);
    });
    std::printf("%-34s %9.1f %9.1f %9.2f%%\n", each.name.c_str(), micros, micros / reading, 100 * micros / kStepMicros);
    report.push_back({{"logits", kind},
                      {"options", each.name},
                      {"micros", micros},
                      {"reading_micros", reading},
                      {"ratio", micros / reading},
                      {"of_step", micros / kStepMicros}});
  }
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  Json rows = measure("peaked", make_rows(2.5F, true));
  for (const auto& [kind, spread] : {std::pair{"wide", 2.5F}, std::pair{"flat", 0.5F}}) {
    for (const Json& row : measure(kind, make_rows(spread, false))) rows.push_back(row);
  }
  if (argc == 3 && std::string_view(argv[1]) == "--json") {
    const std::string text = Json{{"vocab", kVocab}, {"step_micros", kStepMicros}, {"rows", rows}}.dump(1) + "\n";
    if (const auto written = write_file_atomically(argv[2], std::as_bytes(std::span(text))); !written) {
      std::fprintf(stderr, "sampler_bench: %s\n", written.error().message.c_str());
      return 1;
    }
  }
  return 0;
}
