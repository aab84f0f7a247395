#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/engine.h"
#include "corbel/engine/session.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

namespace corbel {

/// A tiny checkpoint of models/FAMILY/goldens on a device: what tests of sessions run on.
struct TinyModel {
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Device> device;
  LoadedModel loaded;

  const TextModel& model() const { return *loaded.model; }
};

struct TinyModelChoice {
  std::string folder;  // under models/
  std::string device = "cpu";
  std::string level;
  int threads = 1;
  ModelOptions options = {};
};

/// Fails the test and returns null when the model does not load.
inline std::unique_ptr<TinyModel> load_tiny_model(const TinyModelChoice& choice) {
  auto tiny = std::make_unique<TinyModel>();
  auto pool = ThreadPool::make(choice.threads);
  if (!pool) return nullptr;
  tiny->pool = *std::move(pool);
  if (choice.device == "reference") tiny->device = make_reference_device();
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name != choice.device) continue;
    auto device = entry.make({.level = choice.level}, *tiny->pool);
    EXPECT_TRUE(device) << (device ? "" : device.error().message);
    if (device) tiny->device = *std::move(device);
  }
  if (tiny->device == nullptr) return nullptr;
  const auto folder = std::filesystem::path(CORBEL_SOURCE_DIR) / "models" / choice.folder;  // or an absolute path
  auto loaded = load_text_model(folder, *tiny->device, linked_model_families(), choice.options);
  EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
  if (!loaded) return nullptr;
  tiny->loaded = *std::move(loaded);
  return tiny;
}

/// Every level of every linked device.
inline std::vector<TinyModelChoice> every_level(const std::string& folder, int threads) {
  std::vector<TinyModelChoice> choices;
  for (const DeviceEntry& entry : linked_devices()) {
    for (const std::string& level : entry.levels()) choices.push_back({folder, entry.name, level, threads});
  }
  return choices;
}

/// A session and the runner under it.
struct TinySession {
  std::unique_ptr<StepRunner> runner;
  std::unique_ptr<Session> session;

  TinySession(TinyModel& tiny, const RunnerLimits& limits) {
    auto made = StepRunner::make(tiny.model(), *tiny.device, limits);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    runner = std::make_unique<StepRunner>(*std::move(made));
    auto opened = Session::make(*runner);
    EXPECT_TRUE(opened);
    session = std::make_unique<Session>(*std::move(opened));
  }
};

/// An engine and the runner under it.
struct TinyEngine {
  std::unique_ptr<StepRunner> runner;
  std::unique_ptr<Engine> engine;

  TinyEngine(TinyModel& tiny, const Tokenizer& tokenizer, const RunnerLimits& limits) {
    auto made = StepRunner::make(tiny.model(), *tiny.device, limits);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    runner = std::make_unique<StepRunner>(*std::move(made));
    engine = std::make_unique<Engine>(*runner, tokenizer);
  }
};

/// `count` ids of the vocabulary, the same for the same seed on every machine.
inline std::vector<std::int32_t> some_ids(const TinyModel& tiny, std::int64_t count, std::uint32_t seed) {
  std::vector<std::int32_t> ids;
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    ids.push_back(static_cast<std::int32_t>((state >> 8) % static_cast<std::uint32_t>(tiny.model().info().vocab)));
  }
  return ids;
}

inline std::vector<float> numbers(const TensorView& view) {
  const auto* data = static_cast<const float*>(view.data);
  return {data, data + view.columns()};
}

}  // namespace corbel
