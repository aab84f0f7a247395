#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/answer_report.h"
#include "apps/command.h"
#include "apps/environment.h"
#include "apps/generation_flags.h"
#include "apps/hub_setup.h"
#include "apps/json_lines.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/chat/chat_session.h"
#include "corbel/engine/receipt.h"
#include "corbel/engine/session_file.h"
#include "corbel/format/model_path.h"

namespace corbel::app {
namespace {

constexpr std::size_t kMostPromptBytes = std::size_t{64} << 20;

struct RunFlags {
  std::string model;
  std::string quant;
  std::vector<std::string> prompt;
  std::string receipt;  // files; empty: none
  std::string state;
  GenerationFlags generation;
  DeviceChoice device;
};

/// The word as a shell reads it back.
std::string shell_word(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '/' || c == '.' ||
           c == '-' || c == '_' || c == '~';
  };
  return std::all_of(word.begin(), word.end(), plain) ? word : cat('\'', clip(word), '\'');
}

/// The first word may be the model: a path, a repository, or before a prompt whatever else means one.
void take_model(RunFlags& flags) {
  if (!flags.model.empty() || flags.prompt.empty() || flags.prompt[0] == "-") return;
  const std::string& word = flags.prompt[0];
  std::error_code error;
  const bool is_model = std::filesystem::exists(word, error) || looks_like_repository(word) ||
                        (flags.prompt.size() > 1 && !word.empty() && find_model(word));
  if (!is_model) return;
  flags.model = word;
  flags.prompt.erase(flags.prompt.begin());
}

int refuse_prompts(const RunFlags& flags) {
  print_error(cat("the prompt is one argument; found ", flags.prompt.size(),
                  ". Put it in quotation marks: corbel run \"", clip(flags.prompt[0]), " ", clip(flags.prompt[1]),
                  flags.prompt.size() > 2 ? " ..." : "", "\""));
  return kWrongUsage;
}

int refuse_empty(const RunFlags& flags, const char* what) {
  print_error(cat(what, ": corbel run ", flags.model.empty() ? "" : shell_word(flags.model) + " ",
                  "\"your prompt\", or corbel chat to talk"));
  return kWrongUsage;
}

/// Without the line ends that a pipe adds.
Result<std::string> read_prompt() {
  CORBEL_ASSIGN(std::string text, read_standard_input("the prompt", kMostPromptBytes));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<GenerateResult> answer(OpenSession& open, const RunFlags& flags, const std::string& prompt,
                              const GenerateOptions& options, const GenerateObserver& observer) {
  const Tokenizer& tokenizer = *open.model->tokenizer;
  if (flags.generation.raw) {
    auto ids = tokenizer.encode(prompt);
    if (!ids) return forward_failure(ids, "the prompt");
    return generate(*open.session, tokenizer, *ids, options, observer);
  }
  CORBEL_ASSIGN(const ChatFormat format, ChatFormat::load(open.model->loaded.package->files(), tokenizer));
  Conversation conversation{.messages = {{"user", prompt}}};
  conversation.set_system(flags.generation.system);
  CORBEL_ASSIGN(const auto ids, format.encode(conversation.messages));
  const GenerateOptions own = chat_options(format, conversation.messages, ids, options);
  return generate(*open.session, tokenizer, ids, own, observer);
}

Result<void> write_receipt(const std::string& path, const OpenSession& open, const ReceiptRequest& request,
                           const GenerateResult& result) {
  const ModelPackage& package = *open.model->loaded.package;
  CORBEL_ASSIGN(const RunIdentity identity, identify_run(package, *open.runner));
  Receipt receipt = make_receipt(identity, request, result);
  receipt.corbel = CORBEL_VERSION;
  receipt.model = package.description();
  const std::string text = receipt_json(receipt).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return write_file_atomically(path, std::as_bytes(std::span(text)));
}

/// The conversation of an earlier run, where there is one.
Result<void> load_state(const std::string& path, OpenSession& open) {
  std::error_code error;
  if (path.empty() || !std::filesystem::exists(path, error)) return {};
  CORBEL_ASSIGN(const RunIdentity identity, identify_run(*open.model->loaded.package, *open.runner));
  const auto loaded = load_session(path, identity, *open.session);
  if (!loaded) return forward_failure(loaded);
  return {};
}

Result<void> save_state(const std::string& path, const OpenSession& open) {
  if (path.empty() || open.session->tokens().empty()) return {};
  CORBEL_ASSIGN(const RunIdentity identity, identify_run(*open.model->loaded.package, *open.runner));
  return save_session(path, identity, *open.session);
}

int run_prompt(const RunFlags& flags, const std::string& prompt) {
  catch_interrupts();
  if (const auto offered = offer_pull(flags.model); !offered) return report(offered.error());
  auto open = open_session({flags.model, flags.quant}, flags.device, flags.generation.context);
  if (!open) return report(open.error());
  if (const auto loaded = load_state(flags.state, **open); !loaded) return report(loaded.error());
  const GenerateOptions options = flags.generation.options((*open)->model->loaded.defaults);
  std::atomic<bool> writable = true;
  ReceiptRequest begun;
  GenerateObserver observer{.cancel = &interrupted()};
  if (!flags.receipt.empty()) {
    observer.on_begin = [&](std::span<const std::int32_t> ids, const GenerateOptions& used) {
      begun = receipt_request(ids, used, (*open)->runner->limits().context_tokens);
    };
  }
  if (!flags.generation.json) {
    observer.on_text = [&](std::string_view text) {
      if (writable && !print(text)) writable = false;
    };
  }
  auto result = answer(**open, flags, prompt, options, observer);
  if (!result) return report(result.error());
  if (flags.generation.json) {
    writable = print(answer_json(*result, options, **open));
  } else if (writable && !result->text.ends_with('\n')) {
    writable = print("\n");
  }
  print_error_text(figures_line(result->figures));
  if (!flags.receipt.empty()) {
    const auto written = write_receipt(flags.receipt, **open, begun, *result);
    if (!written) return report(written.error());
  }
  if (const auto saved = save_state(flags.state, **open); !saved) return report(saved.error());
  return !writable ? kFailed : result->finish == FinishReason::cancelled ? kInterrupted : kOk;
}

}  // namespace

int run_run(const std::vector<std::string>& arguments) {
  RunFlags flags;
  CommandLine line("run",
                   "Answers one prompt. The answer goes to standard output, one line of figures to standard error.");
  line.positionals("prompt", flags.prompt,
                   "the prompt, or a model and the prompt; \"-\", or none in a pipe: standard input");
  line.text("--model", flags.model,
            "artifact, GGUF file, folder, ORG/NAME in the Hugging Face cache or ~/models, or alias; without: built in");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.text("--receipt", flags.receipt, "write what the answer came from to this file, for corbel replay");
  line.text("--state", flags.state,
            "go on from this file where it exists, and keep the conversation's cache in it: a prompt that begins like "
            "the last one runs only what is new");
  flags.generation.add_flags(line);
  flags.device.add_flags(line);
  line.example("corbel run \"What is a KV cache?\"");
  line.example("corbel run model.corbel \"What is a KV cache?\"");
  line.example("corbel run --model ~/models/Llama-3.2-1B-Instruct --temperature 0.7 \"Tell me a story\"");
  line.example("git diff | corbel run --model qwen3-0.6b --system \"Review this change.\" -");
  if (const auto code = line.parse(arguments)) return *code;
  take_model(flags);
  if (flags.prompt.size() > 1) return refuse_prompts(flags);
  for (const auto& valid : {flags.generation.validate(), flags.device.validate()}) {
    if (valid) continue;
    print_error(valid.error().message);
    return kWrongUsage;
  }
  std::string prompt;
  if (flags.prompt.empty() || flags.prompt[0] == "-") {
    if (flags.prompt.empty() && input_is_terminal()) return refuse_empty(flags, "no prompt");
    auto text = read_prompt();
    if (!text) return report(text.error());
    prompt = *std::move(text);
  } else {
    prompt = flags.prompt[0];
  }
  if (prompt.empty()) return refuse_empty(flags, "the prompt is empty");
  return run_prompt(flags, prompt);
}

}  // namespace corbel::app
