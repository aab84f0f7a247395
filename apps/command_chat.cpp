#include <algorithm>
#include <array>

#include "apps/answer_report.h"
#include "apps/command.h"
#include "apps/draft_setup.h"
#include "apps/environment.h"
#include "apps/generation_flags.h"
#include "apps/hub_setup.h"
#include "apps/line_reader.h"
#include "apps/terminal.h"
#include "corbel/base/quote.h"
#include "corbel/chat/chat_session.h"

namespace corbel::app {
namespace {

struct ChatFlags {
  std::string model;
  std::vector<std::string> models;  // the same as a plain argument
  std::string quant;
  bool huge_pages = false;
  GenerationFlags generation;
  DraftFlags draft;
  DeviceChoice device;
};

/// A conversation at the terminal, or in a pipe: one answer per line of input.
class ChatLoop {
 public:
  ChatLoop(OpenRunner& open, const ChatFormat& format, const GenerationFlags& flags, const EngineOptions& engine)
      : open_(open),
        flags_(flags),
        options_(flags.options(open.model->loaded.defaults)),
        engine_(*open.runner, *open.model->tokenizer, engine),
        chat_(engine_, format),
        reader_(state_folder().empty() ? std::filesystem::path() : state_folder() / "history") {
    chat_.conversation().set_system(flags.system);
  }

  int run();

  struct SlashCommand {
    std::string_view name;
    std::string_view help;
    void (ChatLoop::*run)(const std::string& argument);
  };

 private:
  static std::span<const SlashCommand> slash_commands();
  void obey(const std::string& line);
  void answer(const std::string& text);
  Result<GenerateResult> ask(const std::string& text, const GenerateObserver& observer);

  void help(const std::string& argument);
  void reset(const std::string& argument);
  void system(const std::string& argument);
  void stats(const std::string& argument);
  void save(const std::string& argument);
  void load(const std::string& argument);
  void leave(const std::string&) { leaving_ = true; }

  OpenRunner& open_;
  const GenerationFlags& flags_;
  GenerateOptions options_;
  Engine engine_;
  ChatSession chat_;
  LineReader reader_;
  std::vector<std::int32_t> raw_ids_;  // --raw: everything so far
  GenerateFigures last_;
  int answers_ = 0;
  bool leaving_ = false;
  int code_ = kOk;
};

std::span<const ChatLoop::SlashCommand> ChatLoop::slash_commands() {
  static constexpr std::array kCommands = {
      SlashCommand{"/help", "this list", &ChatLoop::help},
      SlashCommand{"/reset", "forget the conversation, keep the system message", &ChatLoop::reset},
      SlashCommand{"/system", "[TEXT] show, or set the system message and start anew", &ChatLoop::system},
      SlashCommand{"/stats", "figures of the last answer, tokens in the context, memory", &ChatLoop::stats},
      SlashCommand{"/save", "FILE  write the conversation as JSON", &ChatLoop::save},
      SlashCommand{"/load", "FILE  go on with a saved conversation", &ChatLoop::load},
      SlashCommand{"/exit", "leave (also Ctrl-D)", &ChatLoop::leave},
  };
  return kCommands;
}

void ChatLoop::help(const std::string&) {
  for (const SlashCommand& command : slash_commands()) {
    print_error_text(cat("  ", command.name, std::string(10 - command.name.size(), ' '), command.help, "\n"));
  }
}

void ChatLoop::reset(const std::string&) {
  chat_.conversation().reset();
  raw_ids_.clear();
}

void ChatLoop::system(const std::string& argument) {
  if (argument.empty()) {
    const auto& messages = chat_.conversation().messages;
    const bool has = !messages.empty() && messages.front().role == "system";
    print_error_text(has ? cat("system: ", messages.front().content, "\n") : std::string("no system message\n"));
    return;
  }
  chat_.conversation().reset();
  chat_.conversation().set_system(argument);
}

void ChatLoop::stats(const std::string&) {
  if (answers_ > 0) print_error_text(figures_line(last_));
  const EngineFigures figures = engine_.figures();
  print_error_text(cat("context ", last_.prompt_tokens + last_.generated_tokens, " of ",
                       open_.runner->limits().context_tokens, " tokens, ", chat_.conversation().messages.size(),
                       " messages, ", figures.accepted_tokens, " of ", figures.drafted_tokens,
                       " drafted tokens were right\n", open_.memory.summary(), "\n"));
}

void ChatLoop::save(const std::string& argument) {
  if (argument.empty()) return print_error("/save needs a file name");
  const SavedConversation saved{chat_.conversation(), options_.sampling, options_.max_tokens};
  if (const auto written = save_conversation(argument, saved); !written) return print_error(written.error().message);
  print_error_text(cat("saved ", saved.conversation.messages.size(), " messages to ", argument, "\n"));
}

void ChatLoop::load(const std::string& argument) {
  if (argument.empty()) return print_error("/load needs a file name");
  auto saved = load_conversation(argument);
  if (!saved) return print_error(saved.error().message);
  chat_.conversation() = std::move(saved->conversation);
  options_.sampling = saved->sampling;
  options_.max_tokens = saved->max_tokens;
  print_error_text(cat("loaded ", chat_.conversation().messages.size(), " messages and their settings\n"));
}

void ChatLoop::obey(const std::string& line) {
  const std::string name = line.substr(0, line.find(' '));
  std::string argument = line.substr(std::min(line.find_first_not_of(' ', name.size()), line.size()));
  while (argument.ends_with(' ')) argument.pop_back();
  if (flags_.raw && (name == "/system" || name == "/save" || name == "/load")) {
    return print_error(cat(name, " works on messages; --raw has none"));
  }
  for (const SlashCommand& command : slash_commands()) {
    if (command.name == name) return (this->*command.run)(argument);
  }
  print_error(cat("unknown command ", quote(name), "; /help lists them"));
}

Result<GenerateResult> ChatLoop::ask(const std::string& text, const GenerateObserver& observer) {
  if (!flags_.raw) return chat_.answer(text, options_, observer);
  const Tokenizer& tokenizer = *open_.model->tokenizer;
  CORBEL_ASSIGN(const auto ids, tokenizer.encode(text, {.add_special_tokens = raw_ids_.empty()}));
  std::vector<std::int32_t> all = raw_ids_;
  all.insert(all.end(), ids.begin(), ids.end());
  CORBEL_ASSIGN(GenerateResult result, generate(engine_, engine_request(all, options_, observer), observer.cancel));
  all.insert(all.end(), result.ids.begin(), result.ids.end());
  raw_ids_ = std::move(all);
  return result;
}

void ChatLoop::answer(const std::string& text) {
  clear_interrupt();
  GenerateObserver observer{.cancel = &interrupted()};
  bool writable = true;
  if (!flags_.json) {
    observer.on_text = [&](std::string_view piece) { writable = writable && print(piece); };
  }
  auto result = ask(text, observer);
  if (!result) {
    print_error(result.error().message);
    if (!input_is_terminal()) code_ = kFailed;
    return;
  }
  if (flags_.json) {
    writable = print(answer_json(*result, options_, open_));
  } else if (!result->text.ends_with('\n')) {
    writable = writable && print("\n");
  }
  last_ = result->figures;
  ++answers_;
  print_error_text(figures_line(last_));
  if (writable) return;
  code_ = kFailed;
  leaving_ = true;
}

int ChatLoop::run() {
  if (input_is_terminal() && errors_are_terminal()) {
    print_error_text(cat("model ", open_.model->loaded.package->name(), " on ", open_.device.device->info().profile(),
                         ". /help lists the commands, Ctrl-D leaves.\n"));
  }
  bool interrupted_before = false;
  while (!leaving_) {
    const LineReader::Line line = reader_.next("> ");
    if (line.end == LineReader::End::input) break;
    if (line.end == LineReader::End::interrupt) {
      if (interrupted_before) return kInterrupted;
      interrupted_before = true;
      clear_interrupt();
      print_error_text("Ctrl-C again leaves\n");
      continue;
    }
    interrupted_before = false;
    if (line.text.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line.text.front() == '/') {
      obey(line.text);
    } else {
      answer(line.text);
      clear_interrupt();
    }
  }
  return code_;
}

}  // namespace

int run_chat(const std::vector<std::string>& arguments) {
  ChatFlags flags;
  CommandLine line("chat", "Talks with a model. In a pipe: one answer per line of input.");
  line.positionals("model", flags.models,
                   "artifact, GGUF file, folder, ORG/NAME in the Hugging Face cache or ~/models, or alias");
  line.text("--model", flags.model, "the same");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.toggle("--huge-pages", flags.huge_pages, "move an artifact's weights into 2 MB pages first: faster decode");
  flags.generation.add_flags(line);
  flags.draft.add_flags(line);
  flags.device.add_flags(line);
  line.example("corbel chat");
  line.example("corbel chat meta-llama/Llama-3.2-1B-Instruct --temperature 0.7");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.models.size() + (flags.model.empty() ? 0 : 1) > 1) {
    print_error("one model, please: corbel chat MODEL. Prompts are typed, or piped in; corbel run answers just one");
    return kWrongUsage;
  }
  if (!flags.models.empty()) flags.model = flags.models.front();
  for (const auto& valid : {flags.generation.validate(), flags.device.validate()}) {
    if (valid) continue;
    print_error(valid.error().message);
    return kWrongUsage;
  }
  catch_interrupts();
  if (const auto offered = offer_pull(flags.model); !offered) return report(offered.error());
  auto open = open_runner({flags.model, flags.quant, flags.huge_pages}, flags.device, flags.generation.context, 1);
  if (!open) return report(open.error());
  auto format = ChatFormat::load((*open)->model->loaded.package->files(), *(*open)->model->tokenizer);
  if (!format) return report(format.error());
  const auto draft = open_draft(flags.draft, flags.device, **open);
  if (!draft) return report(draft.error());
  return ChatLoop(**open, *format, flags.generation, engine_options(flags.draft, draft->get())).run();
}

}  // namespace corbel::app
