#include <chrono>
#include <thread>

#include "apps/command.h"
#include "apps/hub_setup.h"
#include "apps/number_text.h"
#include "apps/serve_front.h"
#include "apps/serve_sandbox.h"
#include "apps/served_models.h"
#include "apps/terminal.h"
#include "corbel/server/endpoints.h"
#include "corbel/server/http_server.h"

namespace corbel::app {
namespace {

constexpr std::chrono::seconds kLastWords{1};  // for the errors of answers whose time was over to reach their clients

void wait_while_busy(HttpServer& server, std::chrono::seconds longest) {
  const auto until = std::chrono::steady_clock::now() + longest;
  while (server.busy() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

/// New requests are refused, those under way are answered, for so long at most.
void drain(ServerState& state, HttpServer& server, std::chrono::seconds longest) {
  state.draining = true;
  server.drain();
  if (server.busy() > 0) print_error_text(cat("draining ", server.busy(), " answers\n"));
  wait_while_busy(server, longest);
}

Result<void> serve(const ServeFlags& flags) {
  const auto begin = std::chrono::steady_clock::now();
  CORBEL_ASSIGN(std::vector<ShelvedModel> named, served_models(flags));
  ServerState state;
  state.version = CORBEL_VERSION;
  state.most_waiting = flags.max_queue;
  CORBEL_ASSIGN(const std::unique_ptr<ServeFront> front, ServeFront::open(flags, state.gate, state.metrics));
  CORBEL_ASSIGN(
      const std::unique_ptr<HttpServer> server,
      HttpServer::listen(front->http_options(), [&state](HttpRequest request, std::shared_ptr<Responder> responder) {
        handle_request(state, std::move(request), std::move(responder));
      }));
  CORBEL_TRY(enter_serve_sandbox(flags));
  ModelShelf models(std::move(named), flags.max_model_bytes);
  state.models = &models;
  std::thread network([&server] { server->run(); });
  auto model = models.wait_for("");
  Result<void> done = model ? Result<void>() : Result<void>(forward_failure(model));
  if (model) {
    const std::string name = (*model)->name;
    model = ModelLease();
    state.ready = true;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    print_error_text(cat("serving ", name, " on ", front->url(server->port()), " after ", format("%.0f", seconds * 1e3),
                         " ms; Ctrl-C ends it\n"));
    done = front->wait_for_end();
    drain(state, *server, std::chrono::seconds(flags.drain_seconds));
  }
  models.stop();
  wait_while_busy(*server, kLastWords);
  server->stop();
  network.join();
  state.deadlines.stop();  // they look at models
  return done;
}

}  // namespace

int run_serve(const std::vector<std::string>& arguments) {
  ServeFlags flags;
  if (const auto code = flags.parse(arguments)) return *code;
  for (const std::string& model : flags.models)
    if (const auto offered = offer_pull(alias_and_path(model).second); !offered) return report(offered.error());
  hold_serve_signals();
  const auto done = serve(flags);
  return done ? kOk : report(done.error());
}

}  // namespace corbel::app
