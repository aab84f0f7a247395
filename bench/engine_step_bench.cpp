// engine_step_bench [--json]: what a step costs beside the model: schedule, sampling bookkeeping and delivery, on a
// model that computes nothing. One row per number of sequences that decode; `base` is the cost at one sequence.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "corbel/device/device.h"
#include "corbel/engine/engine.h"
#include "tests/engine/byte_tokenizer.h"

namespace {

using namespace corbel;

/// 129 tokens, one cache group; logits stay as they are.
class IdleModel final : public TextModel {
 public:
  IdleModel() {
    info_.vocab = 129;
    info_.hidden = 16;
    info_.layers = 1;
    info_.max_positions = 1 << 20;
    info_.cache.groups.push_back({.page = {.kv_heads = 1, .head_dim = 16, .dtype = DType::f32}, .layers = {0}});
  }
  const TextModelInfo& info() const override { return info_; }
  void embed(const StepInputs&, const TensorView&, RunContext&) const noexcept override {}
  void run_layers(int, int, const StepInputs&, const TensorView&, const CacheView&,
                  RunContext&) const noexcept override {}
  void final_hidden(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}
  void head(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}

 private:
  TextModelInfo info_;
};

double step_seconds(std::int64_t sequences, bool drafts) {
  const IdleModel model;
  const std::unique_ptr<Device> device = make_null_device();
  const Tokenizer tokenizer = make_byte_tokenizer();
  constexpr std::int64_t kContext = 8192;
  auto runner = StepRunner::make(
      model, *device, {.step_rows = 512, .logit_rows = sequences, .sequences = sequences, .context_tokens = kContext});
  if (!runner) return -1.0;
  Engine engine(*runner, tokenizer, {.drafts = drafts ? Drafts::where_they_pay : Drafts::none});
  for (std::int64_t i = 0; i < sequences; ++i) {
    EngineRequest request;
    for (std::int64_t t = 0; t < 100; ++t) request.prompt.push_back(static_cast<std::int32_t>((t * 7 + i * 13) % 128));
    request.limits.max_tokens = kContext - 200;
    request.sampling.repetition_penalty = 1.0;
    if (!engine.submit(std::move(request))) return -1.0;
  }
  for (int warm = 0; warm < 300; ++warm) engine.step();
  constexpr int kSteps = 4000;
  const auto begin = std::chrono::steady_clock::now();
  for (int step = 0; step < kSteps; ++step) engine.step();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kSteps;
}

}  // namespace

int main(int count, char** arguments) {
  const bool json = count > 1 && std::strcmp(arguments[1], "--json") == 0;
  const std::int64_t sequences[] = {1, 4, 16, 64, 256};
  double base = 0.0;
  if (json)
    std::printf("[");
  else
    std::printf("%10s %12s %18s\n", "sequences", "us a step", "us each further");
  for (const std::int64_t number : sequences) {
    const double seconds = step_seconds(number, true);
    if (number == 1) base = seconds;
    const double further = number > 1 ? (seconds - base) / static_cast<double>(number - 1) : 0.0;
    if (json)
      std::printf("%s{\"sequences\": %d, \"us_per_step\": %.3f, \"us_per_sequence\": %.3f}", number == 1 ? "" : ", ",
                  static_cast<int>(number), seconds * 1e6, further * 1e6);
    else
      std::printf("%10d %12.2f %18.3f\n", static_cast<int>(number), seconds * 1e6, further * 1e6);
  }
  if (json) std::printf("]\n");
  return 0;
}
