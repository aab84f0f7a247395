#include "apps/served_models.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <mutex>

#include "apps/environment.h"
#include "apps/model_setup.h"
#include "apps/step_trace.h"
#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

/// Asked once, then remembered. Any thread.
template <typename T>
std::function<Result<T>()> remembered(std::function<Result<T>()> ask) {
  struct Memory {
    std::once_flag once;
    std::optional<Result<T>> answer;
  };
  return [memory = std::make_shared<Memory>(), ask = std::move(ask)] {
    std::call_once(memory->once, [&] { memory->answer = ask(); });
    return *memory->answer;
  };
}

/// Everything that serves one model. Members keep their addresses; the engine's thread goes first.
class Serving final : public OpenedModel {
 public:
  static Result<std::unique_ptr<OpenedModel>> open(const ServeFlags& flags, const std::string& path,
                                                   const std::string& name);

 private:
  Result<std::unique_ptr<StepRunner>> make_embedding_runner() const;
  void describe(const std::string& name);

  std::unique_ptr<OpenRunner> open_;
  std::unique_ptr<OpenDraft> draft_;
  std::unique_ptr<ChatModel> chat_;
  std::unique_ptr<StepTrace> trace_;
  std::unique_ptr<EngineThread> engine_;
};

Result<std::unique_ptr<OpenedModel>> Serving::open(const ServeFlags& flags, const std::string& path,
                                                   const std::string& name) {
  auto serving = std::make_unique<Serving>();
  CORBEL_ASSIGN(serving->open_, open_runner({path, flags.quant, flags.huge_pages, "--max-model-len"}, flags.device,
                                            flags.max_model_len, flags.max_num_seqs));
  OpenRunner& open = *serving->open_;
  constexpr std::chrono::milliseconds kCommitTime{180};  // of the 300 ms after which a server should be ready
  open.runner->commit_memory(std::chrono::steady_clock::now() + kCommitTime);
  CORBEL_ASSIGN(serving->draft_, open_draft(flags.draft, flags.device, open));
  CORBEL_ASSIGN(serving->chat_, ChatModel::load(open.model->loaded.package->files(), *open.model->tokenizer,
                                                open.model->loaded.defaults));
  EngineOptions options = engine_options(flags.draft, serving->draft_.get());
  if (!flags.trace.empty()) {
    CORBEL_ASSIGN(serving->trace_,
                  StepTrace::open(flags.models.size() > 1 ? cat(flags.trace, '.', name) : flags.trace));
    options.on_step = [trace = serving->trace_.get()](const StepReport& report) { trace->add(report); };
  }
  serving->engine_ =
      std::make_unique<EngineThread>(*open.runner, *open.model->tokenizer, options,
                                     [serving = serving.get()] { return serving->make_embedding_runner(); });
  serving->describe(name);
  return std::unique_ptr<OpenedModel>(std::move(serving));
}

/// Pages for one text of full context and some short ones.
Result<std::unique_ptr<StepRunner>> Serving::make_embedding_runner() const {
  constexpr std::int64_t kTexts = 64;
  RunnerLimits limits = open_->runner->limits();
  limits.sequences = kTexts;
  limits.step_rows = std::max<std::int64_t>(256, kTexts);
  limits.logit_rows = 0;
  limits.hidden_rows = limits.step_rows;
  limits.pages = pages_of_tokens(limits.context_tokens) + kTexts + pages_of_tokens(limits.step_rows);
  const RunnerMemory needed = StepRunner::measure(open_->model->model(), limits);
  const std::int64_t room = available_memory().bytes();
  if (const std::int64_t bytes = needed.kv_bytes + needed.scratch_bytes; room >= 0 && bytes > room)
    return fail(Code::no_memory, cat("embedding takes ", bytes_text(bytes), " of memory beside what the model has; ",
                                     bytes_text(room), " are available"));
  if (reserve) CORBEL_TRY(reserve(needed.kv_bytes + needed.scratch_bytes));
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(open_->model->model(), *open_->device.device, limits));
  return std::make_unique<StepRunner>(std::move(runner));
}

void Serving::describe(const std::string& name) {
  const OpenRunner& open = *open_;
  using std::chrono::system_clock;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch());
  const ModelPackage* const package = open.model->loaded.package.get();
  const StepRunner* const runner = open.runner.get();
  served = {
      .name = name,
      .profile = open.device.device->info().profile(),
      .kind = std::string(package_kind_name(package->kind())),
      .formats = weight_formats(*package),
      .context_tokens = runner->limits().context_tokens,
      .created_unix = now.count(),
      .weight_bytes = open.memory.weight_bytes,
      .memory_bytes = open.memory.total_bytes(),
      .info = &open.model->model().info(),
      .tokenizer = &*open.model->tokenizer,
      .chat = chat_.get(),
      .engine = engine_.get(),
      .identify = remembered<RunIdentity>([package, runner] { return identify_run(*package, *runner); }),
      .embedding = remembered<EmbeddingDefaults>([package] { return read_embedding_defaults(package->files()); })};
}

}  // namespace

std::pair<std::string, std::string> alias_and_path(const std::string& word) {
  const std::size_t equals = word.find('=');
  std::error_code ignored;
  if (equals == std::string::npos || equals == 0 || std::filesystem::exists(word, ignored)) return {"", word};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

Result<std::vector<ShelvedModel>> served_models(const ServeFlags& flags) {
  std::vector<std::string> words = flags.models;
  if (words.empty()) words.emplace_back();
  std::vector<ShelvedModel> models;
  for (const std::string& word : words) {
    auto [name, path] = alias_and_path(word);
    if (name.empty() && models.empty()) name = flags.alias;
    CORBEL_ASSIGN(const std::shared_ptr<const ModelPackage> package, find_package(path));
    ShelvedModel model{.name = name.empty() ? package->name() : name};
    if (!path.empty() && path != model.name) model.aliases.push_back(path);
    if (const Artifact* const artifact = package->artifact(); artifact != nullptr)
      model.expected_bytes = std::ssize(artifact->file().bytes());
    for (const ShelvedModel& other : models) {
      if (other.name != model.name) continue;
      return fail(Code::bad_request,
                  cat("two models are called ", quote(model.name), "; give one of them another name: NAME=", path));
    }
    model.open = [&flags, path = path, served_as = model.name] { return Serving::open(flags, path, served_as); };
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace corbel::app
