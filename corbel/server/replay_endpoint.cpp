#include <nlohmann/json.hpp>

#include "corbel/chat/request_options.h"
#include "corbel/server/answer_run.h"

namespace corbel {
namespace {

/// One answer made again, to be compared with its receipt.
class Replay final : public AnswerRun {
 public:
  Replay(const EndpointCall& call, Receipt receipt, const RunIdentity& run)
      : AnswerRun(call, {}, "replay-"), receipt_(std::move(receipt)), run_(run), model_(call.model) {}

  void end() override {
    const GenerateResult& result = results().front().front();
    const std::string difference = first_difference(receipt_, result, *model_->tokenizer);
    responder().respond(json_response({{"object", "replay"},
                                       {"same", difference.empty()},
                                       {"difference", difference.empty() ? Json() : Json(difference)},
                                       {"tokens", result.figures.generated_tokens},
                                       {"seconds", result.figures.first_token_seconds + result.figures.decode_seconds},
                                       {"text", result.text},
                                       {"model", model_->name},
                                       {"run",
                                        {{"model_hash", run_.model_hash},
                                         {"profile", run_.profile},
                                         {"strategy", run_.strategy},
                                         {"kv_cache", run_.kv_cache},
                                         {"context_tokens", model_->context_tokens}}}}));
  }

 private:
  Receipt receipt_;
  RunIdentity run_;
  ModelLease model_;
};

HttpResponse other_run(std::string_view difference) {
  return error_response({.status = 409,
                         .message = cat("\"receipt\" cannot be replayed here: in it ", difference),
                         .param = "receipt",
                         .code = "other_run"});
}

/// The receipt's context ends an answer where it did; empty: it can be had here.
std::string fit_context(const Receipt& receipt, std::int64_t context, EngineRequest& request) {
  const std::int64_t then = receipt.request.context_tokens;
  if (then == context) return {};
  const bool fits = then < context || std::ssize(request.prompt) + std::ssize(receipt.ids) <= context;
  if (!fits || receipt.request.on_full == OnFull::slide)
    return cat("the context has ", then, " tokens, here it has ", context);
  if (then > context) return {};
  const std::int64_t most = then - std::ssize(request.prompt) + 1;
  AnswerLimits& limits = request.limits;
  limits.max_tokens = limits.max_tokens > 0 ? std::min(limits.max_tokens, most) : most;
  return {};
}

void replay(const EndpointCall& call, const Receipt& receipt) {
  const auto run = call.model->identify();
  if (!run) return call.responder->respond(error_response(run.error()));
  if (const std::string difference = first_difference(receipt.run, *run); !difference.empty())
    return call.responder->respond(other_run(difference));
  auto request = replay_request(receipt, *call.model->tokenizer);
  if (!request)
    return call.responder->respond(
        error_response(refuse_field("receipt", cat("cannot be replayed: ", request.error().message)).error));
  if (const std::string difference = fit_context(receipt, call.model->context_tokens, *request); !difference.empty())
    return call.responder->respond(other_run(difference));
  // Nothing from before, and nothing guessed: from its first token.
  request->shares_prefix = false;
  request->drafts = false;
  std::make_shared<Replay>(call, receipt, *run)->submit({*std::move(request)}, "receipt");
}

/// The open model that the receipt is of, else the one that it names, else the default.
std::string model_of(const Receipt& receipt, const ModelShelf& models) {
  for (const ModelShelf::Listed& listed : models.list()) {
    if (listed.model == nullptr) continue;
    const auto run = listed.model->identify();
    if (run && run->model_hash == receipt.run.model_hash) return listed.name;
  }
  return models.has(receipt.model) ? receipt.model : "";
}

Result<Receipt> receipt_in(const RequestFields& fields) {
  const Json* const given = fields.find("receipt");
  if (given == nullptr) return refuse_field("receipt", "is missing; it must be the receipt of an answer");
  auto receipt = read_receipt(*given, "it");
  if (!receipt) return refuse_field("receipt", cat("is none: ", receipt.error().message));
  return receipt;
}

}  // namespace

void replay_endpoint(const EndpointCall& call) {
  const auto read = [&]() -> Result<std::pair<Receipt, std::string>> {
    CORBEL_ASSIGN(const Json body, read_body(call.request));
    CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, Api::replay));
    CORBEL_ASSIGN(Receipt receipt, receipt_in(fields));
    std::string model = fields.has("model") ? fields.text("model", "") : model_of(receipt, *call.state.models);
    return std::pair(std::move(receipt), std::move(model));
  };
  auto asked = read();
  if (!asked) return call.responder->respond(error_response(asked.error()));
  const auto& [receipt, name] = *asked;
  if (!call.state.models->has(name)) return call.responder->respond(no_model_response(name));
  static const HttpRequest kRead;
  const EndpointCall later{call.state, kRead, call.record, call.responder, nullptr, nullptr};
  call.state.models->take(name, [later, receipt = receipt](Result<ModelLease> model) {
    if (!model) return later.responder->respond(error_response(model.error()));
    EndpointCall ready = later;
    ready.model = *std::move(model);
    replay(ready, receipt);
  });
}

}  // namespace corbel
