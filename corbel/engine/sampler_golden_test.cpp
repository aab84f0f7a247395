#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/engine/sampler.h"

namespace corbel {
namespace {

/// goldens/sampling.jsonl, made by tools/golden/sampling.py: a line that names the versions, lines with rows of logits,
/// lines with cases.
struct Golden {
  std::vector<Json> rows;
  std::vector<Json> cases;
};

Golden read_golden() {
  std::ifstream file(std::string(CORBEL_SOURCE_DIR) + "/corbel/engine/goldens/sampling.jsonl");
  Golden golden;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    const Json json = Json::parse(line);
    (json.contains("logits") ? golden.rows : golden.cases).push_back(json);
  }
  return golden;
}

SamplingOptions read_options(const Json& json) {
  SamplingOptions options;
  options.temperature = json.value("temperature", options.temperature);
  options.top_k = json.value("top_k", options.top_k);
  options.top_p = json.value("top_p", options.top_p);
  options.min_p = json.value("min_p", options.min_p);
  options.typical_p = json.value("typical_p", options.typical_p);
  options.repetition_penalty = json.value("repetition_penalty", options.repetition_penalty);
  options.presence_penalty = json.value("presence_penalty", options.presence_penalty);
  options.frequency_penalty = json.value("frequency_penalty", options.frequency_penalty);
  options.penalty_window = json.value("penalty_window", options.penalty_window);
  const Json biases = json.value("logit_bias", Json::object());
  for (const auto& [id, bias] : biases.items()) {
    options.logit_bias.push_back({std::stoi(id), bias.get<float>()});
  }
  options.sort_bias();
  return options;
}

/// One case with all it needs, ready for the sampler.
struct Case {
  Case(const Golden& golden, const Json& from)
      : logits(golden.rows.at(from["row"])["logits"]),
        history(golden.rows.at(from["row"])["history"]),
        prompt_tokens(golden.rows.at(from["row"])["prompt_tokens"]),
        options(read_options(from["options"])),
        banned(from["options"].value("banned", std::vector<std::int32_t>())),
        ids(from["ids"]),
        probabilities(from["probabilities"]),
        greedy(from["greedy"]) {
    for (const std::int32_t id : from["options"].value("allowed", std::vector<std::int32_t>())) {
      allowed.resize((logits.size() + 63) / 64);
      allowed[static_cast<std::size_t>(id / 64)] |= std::uint64_t{1} << (id % 64);
    }
  }
  SampleInput input() const {
    return {.logits = logits,
            .history = history,
            .prompt_tokens = prompt_tokens,
            .options = options,
            .allowed = allowed,
            .banned_ids = banned};
  }

  std::vector<float> logits;
  std::vector<std::int32_t> history;
  std::int64_t prompt_tokens;
  SamplingOptions options;
  std::vector<std::uint64_t> allowed;
  std::vector<std::int32_t> banned;
  std::vector<std::int32_t> ids;
  std::vector<double> probabilities;
  std::int32_t greedy;
};

TEST(SamplerGolden, LeavesWhatTheProcessorsOfTransformersLeaveWithTheSameProbabilities) {
  const Golden golden = read_golden();
  ASSERT_GE(golden.cases.size(), 150U);
  for (const Json& json : golden.cases) {
    SCOPED_TRACE(Json({{"row", json["row"]}, {"options", json["options"]}}).dump());
    const Case each(golden, json);
    ASSERT_TRUE(each.options.validate());
    Sampler sampler(std::ssize(each.logits));
    const auto found = sampler.candidates(each.input());
    // Tokens less than 2^-41 as likely as the likeliest one are never drawn: the sampler does not list them.
    std::size_t next = 0;
    for (std::size_t i = 0; i < each.ids.size(); ++i) {
      if (next < found.size() && found[next].id == each.ids[i]) {
        // Scores are rounded to floats: half a unit in the last place of a score moves a probability by as much.
        const double rounding = 4e-7 + 8e-8 * std::abs(static_cast<double>(each.logits[0])) / each.options.temperature;
        EXPECT_NEAR(found[next].probability, each.probabilities[i], each.probabilities[i] * rounding + 1e-9);
        ++next;
      } else {
        EXPECT_LT(each.probabilities[i], 1e-12) << "token " << each.ids[i] << " is missing";
      }
    }
    EXPECT_EQ(next, found.size()) << "tokens too many";
  }
}

TEST(SamplerGolden, GreedyTakesTheTokenThatTransformersTakes) {
  const Golden golden = read_golden();
  for (const Json& json : golden.cases) {
    SCOPED_TRACE(Json({{"row", json["row"]}, {"options", json["options"]}}).dump());
    Case each(golden, json);
    each.options.temperature = 0.0;
    Sampler sampler(std::ssize(each.logits));
    EXPECT_EQ(sampler.sample(each.input()), each.greedy);
  }
}

}  // namespace
}  // namespace corbel
