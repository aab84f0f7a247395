#include "apps/model_setup.h"

#include <algorithm>

#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/chat/chat_session.h"
#include "corbel/model/model_list.h"

namespace corbel::app {
namespace {

constexpr std::int64_t kDefaultContext = 4096;
constexpr std::int64_t kMostContext = std::int64_t{1} << 24;  // slots are 32-bit numbers; page tables stay small

/// The limits to run with, and what they cost.
Result<RunnerLimits> choose_limits(const TextModel& model, std::optional<std::int64_t> wanted, MemoryPlan& plan) {
  RunnerLimits limits;
  const std::int64_t made_for = model.info().max_positions > 0 ? model.info().max_positions : kDefaultContext;
  limits.context_tokens = wanted.value_or(std::min(made_for, kDefaultContext));
  if (limits.context_tokens > std::min(made_for, kMostContext)) {
    return fail(Code::bad_request, cat("--context is ", limits.context_tokens, "; the model was made for ", made_for,
                                       " tokens (config.json \"max_position_embeddings\")"));
  }
  const AvailableMemory available = available_memory();
  plan = plan_memory(model, limits, available);
  if (!plan.fits() && !wanted && plan.longest_context_tokens > 0) {
    limits.context_tokens = plan.longest_context_tokens;
    plan = plan_memory(model, limits, available);
  }
  limits.step_rows = std::min(limits.step_rows, limits.context_tokens);
  return limits;
}

}  // namespace

Result<std::unique_ptr<OpenModel>> open_model(const std::string& name, const DeviceChoice& choice,
                                              const Device& device) {
  CORBEL_ASSIGN(const std::filesystem::path folder, find_model(name));
  auto open = std::make_unique<OpenModel>();
  CORBEL_ASSIGN(open->loaded, load_text_model(folder, device, linked_model_families(),
                                              ModelOptions{.strategy = choice.chosen_strategy()}));
  CORBEL_ASSIGN(open->tokenizer, Tokenizer::load(folder));
  CORBEL_TRY(check_tokenizer_fits(*open->tokenizer, open->model().info(), folder.string()));
  return open;
}

Result<std::unique_ptr<OpenSession>> open_session(const std::string& model, const DeviceChoice& choice,
                                                  std::optional<std::int64_t> context_tokens) {
  auto open = std::make_unique<OpenSession>();
  CORBEL_ASSIGN(open->device, open_device(choice));
  Device& device = *open->device.device;
  CORBEL_ASSIGN(open->model, open_model(model, choice, device));
  CORBEL_ASSIGN(const RunnerLimits limits, choose_limits(open->model->model(), context_tokens, open->memory));
  if (errors_are_terminal()) print_error_text(open->memory.summary() + "\n");
  CORBEL_TRY(open->memory.check());
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(open->model->model(), device, limits));
  open->runner = std::make_unique<StepRunner>(std::move(runner));
  CORBEL_ASSIGN(open->session, Session::make(*open->runner));
  return open;
}

}  // namespace corbel::app
