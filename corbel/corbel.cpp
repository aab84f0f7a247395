#include "corbel/corbel.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "corbel/base/thread_pool.h"
#include "corbel/chat/chat_session.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

struct corbel_error {
  std::string code;
  std::string message;
};

struct corbel_model {
  std::unique_ptr<corbel::ThreadPool> pool;
  std::unique_ptr<corbel::Device> device;
  corbel::LoadedModel loaded;
  std::optional<corbel::Tokenizer> tokenizer;
  std::optional<corbel::ChatFormat> format;
  std::string profile;
};

struct corbel_chat {
  const corbel_model* model = nullptr;
  std::unique_ptr<corbel::StepRunner> runner;
  std::optional<corbel::Engine> engine;
  std::optional<corbel::ChatSession> chat;
  std::atomic<bool> cancel{false};
};

namespace corbel {
namespace {

corbel_error* make_error(const Error& error) {
  return new corbel_error{std::string(code_name(error.code)), error.message};
}

/// Runs one call; whatever a standard library throws ends here.
template <typename Body>
corbel_error* guarded(Body&& body) noexcept {
  try {
    const Result<void> done = body();
    return done ? nullptr : make_error(done.error());
  } catch (const std::exception& thrown) {
    return make_error({Code::no_memory, cat("out of resources: ", thrown.what())});
  }
}

/// A caller's struct of an older or newer header: its first min(size) bytes, zeros beyond.
template <typename Options>
Result<Options> copy_options(const Options* given) {
  Options options{};
  if (given == nullptr) return options;
  if (given->size < sizeof(size_t) || given->size > 4096) {
    return fail(Code::bad_request, cat("options.size is ", given->size, "; set it to the size of the struct"));
  }
  std::memcpy(&options, given, std::min(given->size, sizeof options));
  return options;
}

Result<Strategy> read_strategy(const char* name) {
  if (name == nullptr || std::string_view(name) == "balanced") return Strategy::balanced;
  if (std::string_view(name) == "accuracy") return Strategy::accuracy;
  return fail(Code::bad_request, cat("strategy is \"", name, "\"; known: balanced, accuracy"));
}

Result<void> open_model(const char* folder, const corbel_model_options& options, corbel_model& model) {
  if (folder == nullptr) return fail(Code::bad_request, "corbel_model_open: folder is null");
  if (options.threads < 0)
    return fail(Code::bad_request, cat("threads is ", options.threads, "; it must be 0 or more"));
  CORBEL_ASSIGN(const Strategy strategy, read_strategy(options.strategy));
  CORBEL_ASSIGN(model.pool, ThreadPool::make(options.threads > 0 ? options.threads : usable_processors()));
  const auto devices = linked_devices();
  if (devices.empty()) return fail(Code::unsupported, "this build of the library has no device");
  const DeviceSettings settings{.level = options.isa_level != nullptr ? options.isa_level : ""};
  CORBEL_ASSIGN(model.device, devices.front().make(settings, *model.pool));
  CORBEL_ASSIGN(model.loaded,
                load_text_model(std::filesystem::path(folder), *model.device, linked_model_families(), {strategy}));
  const NamedFiles& files = model.loaded.package->files();
  CORBEL_ASSIGN(model.tokenizer, Tokenizer::load(files));
  CORBEL_TRY(check_tokenizer_fits(*model.tokenizer, model.loaded.model->info(), folder));
  CORBEL_ASSIGN(model.format, ChatFormat::load(files, *model.tokenizer));
  model.profile = model.device->info().profile();
  return {};
}

Result<void> open_chat(corbel_model& model, const char* system, std::int64_t context_tokens, corbel_chat& chat) {
  constexpr std::int64_t kDefaultContext = 4096;
  const std::int64_t longest = model.loaded.longest_context();
  const std::int64_t context = context_tokens > 0 ? context_tokens : std::min(longest, kDefaultContext);
  if (context_tokens < 0 || context > longest) {
    return fail(Code::bad_request, cat("context_tokens is ", context_tokens, "; ", model.loaded.context_reason(), ' ',
                                       longest, " tokens"));
  }
  RunnerLimits limits;
  limits.context_tokens = context;
  limits.logit_rows += kDraftLogitRows;
  limits.step_rows = std::min(limits.step_rows, context);
  CORBEL_TRY(plan_memory(*model.loaded.model, limits, available_memory()).check());
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(*model.loaded.model, *model.device, limits));
  chat.model = &model;
  chat.runner = std::make_unique<StepRunner>(std::move(runner));
  chat.engine.emplace(*chat.runner, *model.tokenizer);
  chat.chat.emplace(*chat.engine, *model.format);
  if (system != nullptr) chat.chat->conversation().set_system(system);
  return {};
}

/// The caller's struct says all of the sampling; what ends an answer is the model's.
GenerateOptions asked_options(const corbel_ask_options& asked, const corbel_model& model) {
  GenerateOptions options = generate_options(model.loaded.defaults);
  options.sampling.temperature = asked.temperature;
  options.sampling.top_k = asked.top_k;
  options.sampling.top_p = asked.top_p > 0.0 ? asked.top_p : 1.0;
  options.sampling.min_p = asked.min_p;
  options.sampling.repetition_penalty = asked.repetition_penalty > 0.0 ? asked.repetition_penalty : 1.0;
  options.sampling.seed = asked.seed;
  options.max_tokens = asked.max_tokens;
  return options;
}

void fill_answer(const GenerateResult& result, corbel_answer* answer) {
  if (answer == nullptr) return;
  corbel_answer filled{.size = answer->size,
                       .prompt_tokens = result.figures.prompt_tokens,
                       .cached_tokens = result.figures.cached_tokens,
                       .generated_tokens = result.figures.generated_tokens,
                       .first_token_seconds = result.figures.first_token_seconds,
                       .decode_tokens_per_second = result.figures.decode_tokens_per_second(),
                       // The names are literals and end in a zero byte.
                       .finish_reason = finish_reason_name(result.finish).data()};
  std::memcpy(answer, &filled, std::min(answer->size, sizeof filled));
}

}  // namespace
}  // namespace corbel

extern "C" {

const char* corbel_version(void) { return CORBEL_VERSION; }

const char* corbel_error_code(const corbel_error* error) { return error == nullptr ? "" : error->code.c_str(); }
const char* corbel_error_message(const corbel_error* error) { return error == nullptr ? "" : error->message.c_str(); }
void corbel_error_free(corbel_error* error) { delete error; }

corbel_error* corbel_model_open(const char* folder, const corbel_model_options* options, corbel_model** model) {
  return corbel::guarded([&]() -> corbel::Result<void> {
    if (model == nullptr) return corbel::fail(corbel::Code::bad_request, "corbel_model_open: model is null");
    *model = nullptr;
    CORBEL_ASSIGN(const corbel_model_options copied, corbel::copy_options(options));
    auto opened = std::make_unique<corbel_model>();
    CORBEL_TRY(corbel::open_model(folder, copied, *opened));
    *model = opened.release();
    return {};
  });
}

const char* corbel_model_profile(const corbel_model* model) { return model->profile.c_str(); }
int64_t corbel_model_context(const corbel_model* model) { return model->loaded.longest_context(); }
void corbel_model_free(corbel_model* model) { delete model; }

corbel_error* corbel_chat_open(corbel_model* model, const char* system, int64_t context_tokens, corbel_chat** chat) {
  return corbel::guarded([&]() -> corbel::Result<void> {
    if (model == nullptr || chat == nullptr)
      return corbel::fail(corbel::Code::bad_request, "corbel_chat_open: model or chat is null");
    *chat = nullptr;
    auto opened = std::make_unique<corbel_chat>();
    CORBEL_TRY(corbel::open_chat(*model, system, context_tokens, *opened));
    *chat = opened.release();
    return {};
  });
}

void corbel_chat_free(corbel_chat* chat) { delete chat; }

corbel_error* corbel_chat_ask(corbel_chat* chat, const char* text, const corbel_ask_options* options,
                              corbel_text_callback callback, void* user, corbel_answer* answer) {
  return corbel::guarded([&]() -> corbel::Result<void> {
    if (chat == nullptr || text == nullptr)
      return corbel::fail(corbel::Code::bad_request, "corbel_chat_ask: chat or text is null");
    CORBEL_ASSIGN(const corbel_ask_options copied, corbel::copy_options(options));
    const corbel::GenerateOptions generate = corbel::asked_options(copied, *chat->model);
    CORBEL_TRY(generate.sampling.validate());
    chat->cancel = false;
    corbel::GenerateObserver observer{.cancel = &chat->cancel};
    if (callback != nullptr) {
      observer.on_text = [&](std::string_view piece) {
        if (callback(piece.data(), piece.size(), user) != 0) chat->cancel = true;
      };
    }
    CORBEL_ASSIGN(const corbel::GenerateResult result, chat->chat->answer(text, generate, observer));
    corbel::fill_answer(result, answer);
    return {};
  });
}

void corbel_chat_cancel(corbel_chat* chat) {
  if (chat != nullptr) chat->cancel = true;
}

void corbel_chat_reset(corbel_chat* chat) {
  if (chat != nullptr) chat->chat->conversation().reset();
}

}  // extern "C"
