#include "apps/model_setup.h"

#include <algorithm>
#include <functional>
#include <future>
#include <map>

#include "apps/environment.h"
#include "apps/packed_cache.h"
#include "apps/terminal.h"
#include "corbel/chat/chat_session.h"
#include "corbel/engine/engine.h"
#include "corbel/model/model_list.h"

namespace corbel::app {
namespace {

constexpr std::int64_t kDefaultContext = 4096;
constexpr std::int64_t kMostContext = std::int64_t{1} << 24;  // slots are 32-bit numbers; page tables stay small

/// The limits to run with, and what they cost.
Result<RunnerLimits> choose_limits(const LoadedModel& loaded, std::optional<std::int64_t> wanted, std::string_view flag,
                                   MemoryPlan& plan) {
  RunnerLimits limits;
  const TextModel& model = *loaded.model;
  const std::int64_t longest = loaded.longest_context() > 0 ? loaded.longest_context() : kDefaultContext;
  limits.context_tokens = wanted.value_or(std::min(longest, kDefaultContext));
  if (limits.context_tokens > std::min(longest, kMostContext)) {
    return fail(Code::bad_request,
                cat(flag, " is ", limits.context_tokens, "; ", loaded.context_reason(), ' ', longest, " tokens"));
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

constexpr std::int64_t kSharedRows = 512;  // of a step: several prompts share the reading of the weights

/// Limits for several sequences: pages for all of them at full context, or as many as fit, at least for one.
void share_pages(const TextModel& model, std::int64_t sequences, RunnerLimits& limits, MemoryPlan& plan) {
  const std::int64_t least = pages_of_tokens(limits.context_tokens);
  limits.sequences = sequences;
  limits.logit_rows += sequences - 1;
  limits.step_rows = std::max({limits.step_rows, sequences, std::min(limits.context_tokens * sequences, kSharedRows)});
  limits.pages = least * sequences;
  const AvailableMemory available = available_memory();
  for (plan = plan_memory(model, limits, available); !plan.fits() && limits.pages > least;
       plan = plan_memory(model, limits, available))
    limits.pages = std::max(least, limits.pages / 2);
}

/// Limits for texts that become vectors: all rows' hidden states, no logits.
void embed_in_company(const TextModel& model, RunnerLimits& limits, MemoryPlan& plan) {
  constexpr std::int64_t kTexts = 64;  // fills steps with texts of a few tokens
  limits.sequences = kTexts;
  limits.step_rows = std::max(limits.step_rows, kTexts);
  limits.logit_rows = 0;
  limits.hidden_rows = limits.step_rows;
  limits.pages = pages_of_tokens(limits.context_tokens) + kTexts + pages_of_tokens(limits.step_rows);
  plan = plan_memory(model, limits, available_memory());
}

/// Before the first answer: it is what a long-lived process gains by.
Result<void> move_weights(OpenModel& open) {
  const Artifact* artifact = open.loaded.package->artifact();
  if (artifact == nullptr)
    return fail(Code::bad_request,
                cat("--huge-pages moves the weights of an artifact; ", open.loaded.package->description(), " is a ",
                    package_kind_name(open.loaded.package->kind()), ". Add --quant, or compile it"));
  CORBEL_ASSIGN(open.mover, WeightMover::make(*open.loaded.model, artifact->file()));
  while (open.mover->move_slice()) continue;
  return {};
}

}  // namespace

PageReader::PageReader(std::shared_ptr<const ModelPackage> package) : package_(std::move(package)) {
  const Artifact* artifact = package_->artifact();
  if (artifact == nullptr) return;
  const MappedFile& file = artifact->file();
  // What does not fit anyway is better left to come when it is needed.
  if (const std::int64_t room = available_memory().bytes(); room >= 0 && std::ssize(file.bytes()) > room / 2) return;
  thread_ = std::thread([this, &file] {
    constexpr std::size_t kSlice = std::size_t{8} << 20;  // stops within a millisecond
    for (std::size_t at = 0; at < file.bytes().size() && !stop_; at += kSlice) file.populate(at, kSlice);
  });
}

PageReader::~PageReader() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

Result<std::unique_ptr<OpenModel>> open_model(const ModelChoice& model, const DeviceChoice& choice, Device& device) {
  CORBEL_ASSIGN(std::shared_ptr<const ModelPackage> package, find_package(model.name));
  if (!model.quant.empty()) {
    CORBEL_ASSIGN(package, packed_package(package, model.quant, device));
  }
  auto open = std::make_unique<OpenModel>();
  if (!model.huge_pages) open->pages = std::make_unique<PageReader>(package);
  // A large vocabulary takes as long to read as all the rest.
  auto tokenizer = std::async(std::launch::async, [&] { return Tokenizer::load(package->files()); });
  CORBEL_ASSIGN(open->loaded, load_text_model(package, device, linked_model_families(),
                                              {choice.chosen_strategy(), choice.chosen_kv_cache()}));
  if (model.huge_pages) CORBEL_TRY(move_weights(*open));
  CORBEL_ASSIGN(open->tokenizer, tokenizer.get());
  CORBEL_TRY(check_tokenizer_fits(*open->tokenizer, open->model().info(), package->description()));
  return open;
}

std::vector<std::string> weight_formats(const ModelPackage& package) {
  const auto tensors = package.tensors();
  if (!tensors) return {};
  std::map<std::string_view, std::size_t> bytes;
  for (const std::string& name : (*tensors)->names())
    if (const auto tensor = (*tensors)->find(name)) bytes[tensor->format->name] += tensor->bytes.size();
  std::vector<std::string> formats;
  for (const auto& [name, size] : bytes) formats.emplace_back(name);
  std::ranges::stable_sort(formats, std::greater<>(), [&](const std::string& name) { return bytes[name]; });
  return formats;
}

namespace {

/// What the runner is for.
struct Use {
  std::int64_t sequences = 0;  // of an engine; 0: one session
  bool embeds = false;
};

Result<void> fill(OpenRunner& open, const ModelChoice& model, const DeviceChoice& choice,
                  std::optional<std::int64_t> context_tokens, const Use& use) {
  CORBEL_ASSIGN(open.device, open_device(choice));
  Device& device = *open.device.device;
  CORBEL_ASSIGN(open.model, open_model(model, choice, device));
  CORBEL_ASSIGN(RunnerLimits limits,
                choose_limits(open.model->loaded, context_tokens, model.context_flag, open.memory));
  if (use.sequences > 0) limits.logit_rows += kDraftLogitRows;
  if (use.sequences > 1) share_pages(open.model->model(), use.sequences, limits, open.memory);
  if (use.embeds) embed_in_company(open.model->model(), limits, open.memory);
  if (errors_are_terminal()) print_error_text(open.memory.summary() + "\n");
  CORBEL_TRY(open.memory.check(model.context_flag));
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(open.model->model(), device, limits));
  open.runner = std::make_unique<StepRunner>(std::move(runner));
  return {};
}

}  // namespace

Result<std::unique_ptr<OpenRunner>> open_runner(const ModelChoice& model, const DeviceChoice& choice,
                                                std::optional<std::int64_t> context_tokens, std::int64_t sequences) {
  auto open = std::make_unique<OpenRunner>();
  CORBEL_TRY(fill(*open, model, choice, context_tokens, {.sequences = sequences}));
  return open;
}

Result<std::unique_ptr<OpenRunner>> open_embedding_runner(const ModelChoice& model, const DeviceChoice& choice,
                                                          std::optional<std::int64_t> context_tokens) {
  auto open = std::make_unique<OpenRunner>();
  CORBEL_TRY(fill(*open, model, choice, context_tokens, {.embeds = true}));
  return open;
}

Result<std::unique_ptr<OpenSession>> open_session(const ModelChoice& model, const DeviceChoice& choice,
                                                  std::optional<std::int64_t> context_tokens) {
  auto open = std::make_unique<OpenSession>();
  CORBEL_TRY(fill(*open, model, choice, context_tokens, {}));
  CORBEL_ASSIGN(open->session, Session::make(*open->runner));
  return open;
}

}  // namespace corbel::app
