#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "corbel/base/thread_pool.h"
#include "corbel/compile/compile.h"
#include "corbel/device/device_list.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/model_list.h"

/// A tiny checkpoint to compile, and a folder for what comes of it.
namespace corbel {

inline constexpr std::string_view kTinyConfig = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 320,
  "intermediate_size": 352, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 80,
  "vocab_size": 1003, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
  "tie_word_embeddings": true, "hidden_act": "silu"})";

struct Bench {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;

  explicit Bench(int threads) {
    pool = *ThreadPool::make(threads);
    device = *linked_devices().front().make({}, *pool);
  }
};

class Compile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              cat("corbel-compile-", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  CompileRequest request(const std::string& file, const std::string& quant = "w4",
                         QuantMethod method = QuantMethod::search, std::string_view config = kTinyConfig) const {
    CompileRequest made;
    made.source.tensors = std::make_shared<SeededSource>(3, DType::bf16, std::vector<std::string>());
    made.source.config = std::make_shared<const Json>(*parse_json(config, "config.json"));
    made.source.config_place = "config.json";
    made.source.files = {{"config.json", std::string(config)}};
    made.source.name = "a test";
    made.source.hash = "00112233445566778899aabbccddeeff";
    made.families = linked_model_families();
    made.plan.quant = *find_quant(quant, 0);
    made.plan.method = method;
    made.written_by = "corbel test";
    made.output = folder_ / file;
    return made;
  }

  /// Sequences of some tokens, as a calibration text would give.
  static CalibrationTokens tokens() {
    CalibrationTokens made(3);
    for (std::size_t s = 0; s < made.size(); ++s)
      for (int i = 0; i < 60; ++i) made[s].push_back(static_cast<std::int32_t>((s * 331 + i * i * 7 + 11) % 1003));
    return made;
  }

  std::string bytes(const std::string& file) const {
    std::ifstream in(folder_ / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_))
      names.push_back(entry.path().filename().string());
    return names;
  }

  std::filesystem::path folder_;
};

}  // namespace corbel
