#include "apps/model_setup.h"

#include <algorithm>
#include <future>

#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/chat/chat_session.h"
#include "corbel/model/model_list.h"

namespace corbel::app {
namespace {

constexpr std::int64_t kDefaultContext = 4096;
constexpr std::int64_t kMostContext = std::int64_t{1} << 24;  // slots are 32-bit numbers; page tables stay small

/// The limits to run with, and what they cost.
Result<RunnerLimits> choose_limits(const LoadedModel& loaded, std::optional<std::int64_t> wanted, MemoryPlan& plan) {
  RunnerLimits limits;
  const TextModel& model = *loaded.model;
  const std::int64_t longest = loaded.longest_context() > 0 ? loaded.longest_context() : kDefaultContext;
  limits.context_tokens = wanted.value_or(std::min(longest, kDefaultContext));
  if (limits.context_tokens > std::min(longest, kMostContext)) {
    return fail(Code::bad_request, cat("--context is ", limits.context_tokens, "; ", loaded.context_reason(), ' ', longest,
                                       " tokens"));
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
  CORBEL_ASSIGN(const std::shared_ptr<const ModelPackage> package, find_package(name));
  auto open = std::make_unique<OpenModel>();
  // A large vocabulary takes as long to read as all the rest.
  auto tokenizer = std::async(std::launch::async, [&] { return Tokenizer::load(package->files()); });
  CORBEL_ASSIGN(open->loaded, load_text_model(package, device, linked_model_families(),
                                              ModelOptions{.strategy = choice.chosen_strategy()}));
  CORBEL_ASSIGN(open->tokenizer, tokenizer.get());
  CORBEL_TRY(check_tokenizer_fits(*open->tokenizer, open->model().info(), package->description()));
  return open;
}

Result<std::unique_ptr<OpenSession>> open_session(const std::string& model, const DeviceChoice& choice,
                                                  std::optional<std::int64_t> context_tokens) {
  auto open = std::make_unique<OpenSession>();
  CORBEL_ASSIGN(open->device, open_device(choice));
  Device& device = *open->device.device;
  CORBEL_ASSIGN(open->model, open_model(model, choice, device));
  CORBEL_ASSIGN(const RunnerLimits limits, choose_limits(open->model->loaded, context_tokens, open->memory));
  if (errors_are_terminal()) print_error_text(open->memory.summary() + "\n");
  CORBEL_TRY(open->memory.check());
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(open->model->model(), device, limits));
  open->runner = std::make_unique<StepRunner>(std::move(runner));
  CORBEL_ASSIGN(open->session, Session::make(*open->runner));
  return open;
}

}  // namespace corbel::app
