#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "apps/command.h"
#include "apps/draft_setup.h"
#include "apps/hub_setup.h"
#include "apps/model_setup.h"
#include "apps/number_text.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/http_server.h"

namespace corbel::app {
namespace {

struct ServeFlags {
  std::vector<std::string> models;
  std::string quant, host = "127.0.0.1", api_key_file, alias;
  std::optional<std::int64_t> port, max_model_len, max_num_seqs;
  bool huge_pages = false;
  DraftFlags draft;
  DeviceChoice device;
};

/// Lines of a file, without those that are empty.
Result<std::vector<std::string>> read_keys(const std::string& path) {
  std::vector<std::string> keys;
  if (path.empty()) return keys;
  CORBEL_ASSIGN(const std::string text, read_text_file(path, std::int64_t{1} << 20));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string key = text.substr(at, end - at);
    while (!key.empty() && (key.back() == '\r' || key.back() == ' ')) key.pop_back();
    if (!key.empty()) keys.push_back(std::move(key));
    at = end + 1;
  }
  if (keys.empty()) return fail(Code::bad_file, cat(path, " has no keys; expected one a line"));
  return keys;
}

/// Everything that serves one model. Members keep their addresses.
struct Serving {
  std::unique_ptr<OpenRunner> open;
  std::unique_ptr<OpenDraft> draft;
  std::unique_ptr<ChatModel> chat;
  std::unique_ptr<EngineThread> engine;
  ServedModel model;
};

Result<void> load(const ServeFlags& flags, Serving& serving) {
  constexpr std::int64_t kSequences = 16;
  const std::string name = flags.models.empty() ? std::string() : flags.models.front();
  CORBEL_ASSIGN(serving.open, open_runner({name, flags.quant, flags.huge_pages}, flags.device, flags.max_model_len,
                                          flags.max_num_seqs.value_or(kSequences)));
  OpenRunner& open = *serving.open;
  CORBEL_ASSIGN(serving.draft, open_draft(flags.draft, flags.device, open));
  CORBEL_ASSIGN(serving.chat, ChatModel::load(open.model->loaded.package->files(), *open.model->tokenizer,
                                              open.model->loaded.defaults));
  serving.engine = std::make_unique<EngineThread>(*open.runner, *open.model->tokenizer,
                                                  engine_options(flags.draft, serving.draft.get()));
  using std::chrono::system_clock;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch());
  serving.model = {.name = flags.alias.empty() ? open.model->loaded.package->name() : flags.alias,
                   .profile = open.device.device->info().profile(),
                   .context_tokens = open.runner->limits().context_tokens,
                   .created_unix = now.count(),
                   .kind = std::string(package_kind_name(open.model->loaded.package->kind())),
                   .formats = weight_formats(*open.model->loaded.package),
                   .info = &open.model->model().info(),
                   .tokenizer = &*open.model->tokenizer,
                   .chat = serving.chat.get(),
                   .engine = serving.engine.get()};
  return {};
}

void wait_for_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  int signal = 0;
  sigwait(&set, &signal);
}

/// New requests are refused, those under way are answered, for at most half a minute.
void drain(ServerState& state, HttpServer& server) {
  state.draining = true;
  server.drain();
  if (server.busy() > 0) print_error_text(cat("draining ", server.busy(), " answers\n"));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (server.busy() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

Result<void> serve(const ServeFlags& flags) {
  ServerState state;
  state.version = CORBEL_VERSION;
  CORBEL_ASSIGN(state.api_keys, read_keys(flags.api_key_file));
  HttpServerOptions options;
  options.host = flags.host;
  options.port = static_cast<std::uint16_t>(flags.port.value_or(8000));
  CORBEL_ASSIGN(const std::unique_ptr<HttpServer> server,
                HttpServer::listen(options, [&state](HttpRequest request, std::shared_ptr<Responder> responder) {
                  handle_request(state, std::move(request), std::move(responder));
                }));
  std::thread network([&server] { server->run(); });
  const auto begin = std::chrono::steady_clock::now();
  Serving serving;
  const Result<void> loaded = load(flags, serving);
  if (loaded) {
    state.model = &serving.model;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    print_error_text(cat("serving ", serving.model.name, " on http://", flags.host, ":", server->port(), " after ",
                         format("%.0f", seconds * 1e3), " ms; Ctrl-C ends it\n"));
    wait_for_signal();
    drain(state, *server);
  }
  state.model = nullptr;
  server->stop();
  network.join();
  return loaded;
}

}  // namespace

int run_serve(const std::vector<std::string>& arguments) {
  ServeFlags flags;
  CommandLine line("serve", "Answers OpenAI's API over HTTP: chat completions, streaming, tools, structured output.");
  line.positionals("model", flags.models, "artifact, GGUF file, folder, ORG/NAME or alias; without: built in");
  line.text("--host", flags.host, "the address to listen on (default 127.0.0.1)");
  line.integer("--port", flags.port, "the port (default 8000; 0: any that is free)");
  line.text("--api-key-file", flags.api_key_file, "a key a line; requests then need one of them");
  line.text("--served-model-name", flags.alias, "how requests name the model (default: its own name)");
  line.integer("--max-model-len", flags.max_model_len, "most tokens of a prompt and its answer together");
  line.integer("--max-num-seqs", flags.max_num_seqs, "requests that run at once (default 16)");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.toggle("--huge-pages", flags.huge_pages, "move an artifact's weights into 2 MB pages first: faster decode");
  flags.draft.add_flags(line);
  flags.device.add_flags(line);
  line.example("corbel serve llama.corbel --port 8000");
  if (const auto code = line.parse(arguments)) return *code;
  const auto usage = [](std::string_view message) {
    print_error(message);
    return kWrongUsage;
  };
  if (flags.models.size() > 1) return usage("one model, please: corbel serve MODEL");
  if (const std::int64_t port = flags.port.value_or(1); port < 0 || port > 65535)
    return usage(cat("--port is ", port, "; it must be 0 to 65535"));
  if (const std::int64_t wanted = flags.max_num_seqs.value_or(1); wanted < 1 || wanted > 1024)
    return usage(cat("--max-num-seqs is ", wanted, "; it must be 1 to 1024"));
  if (flags.max_model_len.value_or(1) < 1) return usage("--max-model-len must be 1 or more");
  if (const auto valid = flags.device.validate(); !valid) return usage(valid.error().message);
  for (const std::string& model : flags.models)
    if (const auto offered = offer_pull(model); !offered) return report(offered.error());
  // Signals are waited for, not caught; threads that are made from here on inherit that.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const auto done = serve(flags);
  return done ? kOk : report(done.error());
}

}  // namespace corbel::app
