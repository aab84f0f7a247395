#include <chrono>
#include <thread>

#include "apps/command.h"
#include "apps/draft_setup.h"
#include "apps/model_setup.h"
#include "apps/number_text.h"
#include "apps/serve_front.h"
#include "apps/terminal.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/http_server.h"

namespace corbel::app {
namespace {

/// Everything that serves one model. Members keep their addresses.
struct Serving {
  std::unique_ptr<OpenRunner> open;
  std::unique_ptr<OpenDraft> draft;
  std::unique_ptr<ChatModel> chat;
  std::unique_ptr<EngineThread> engine;
  ServedModel model;
};

Result<void> load(const ServeFlags& flags, Serving& serving) {
  const std::string name = flags.models.empty() ? std::string() : flags.models.front();
  CORBEL_ASSIGN(serving.open, open_runner({name, flags.quant, flags.huge_pages}, flags.device, flags.max_model_len,
                                          flags.max_num_seqs));
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
                   .tokenizer = &*open.model->tokenizer,
                   .chat = serving.chat.get(),
                   .engine = serving.engine.get()};
  return {};
}

/// New requests are refused, those under way are answered, for so long at most.
void drain(ServerState& state, HttpServer& server, std::chrono::seconds longest) {
  state.draining = true;
  server.drain();
  if (server.busy() > 0) print_error_text(cat("draining ", server.busy(), " answers\n"));
  const auto until = std::chrono::steady_clock::now() + longest;
  while (server.busy() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

Result<void> serve(const ServeFlags& flags) {
  ServerState state;
  state.version = CORBEL_VERSION;
  state.most_waiting = flags.max_queue;
  CORBEL_ASSIGN(const std::unique_ptr<ServeFront> front, ServeFront::open(flags, state.gate));
  CORBEL_ASSIGN(
      const std::unique_ptr<HttpServer> server,
      HttpServer::listen(front->http_options(), [&state](HttpRequest request, std::shared_ptr<Responder> responder) {
        handle_request(state, std::move(request), std::move(responder));
      }));
  std::thread network([&server] { server->run(); });
  const auto begin = std::chrono::steady_clock::now();
  Serving serving;
  Result<void> done = load(flags, serving);
  if (done) {
    state.model = &serving.model;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    print_error_text(cat("serving ", serving.model.name, " on ", front->url(server->port()), " after ",
                         format("%.0f", seconds * 1e3), " ms; Ctrl-C ends it\n"));
    done = front->wait_for_end();
    drain(state, *server, std::chrono::seconds(flags.drain_seconds));
  }
  state.model = nullptr;
  server->stop();
  network.join();
  return done;
}

}  // namespace

int run_serve(const std::vector<std::string>& arguments) {
  ServeFlags flags;
  if (const auto code = flags.parse(arguments)) return *code;
  hold_serve_signals();
  const auto done = serve(flags);
  return done ? kOk : report(done.error());
}

}  // namespace corbel::app
