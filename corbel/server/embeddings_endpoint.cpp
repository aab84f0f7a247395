#include <atomic>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/chat/request_options.h"
#include "corbel/chat/token_lists.h"
#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxTexts = 2048;     // OpenAI's
constexpr std::size_t kTextsInFlight = 64;  // of one request: a client that goes away leaves no more behind

struct EmbeddingRequest {
  std::string model;
  std::vector<TokenList> texts;
  EmbedOptions options;
  EmbeddingEncoding encoding = EmbeddingEncoding::number_list;
};

Result<std::string_view> text_in_front(const EmbeddingDefaults& defaults) {
  if (defaults.default_prompt.empty()) return std::string_view();
  const std::string_view prompt = defaults.prompts.at(defaults.default_prompt);
  if (!prompt.empty() && !defaults.includes_prompt && defaults.pooling == Pooling::mean)
    return fail(Code::unsupported,
                "the model's mean leaves out its prompt's tokens (\"include_prompt\" is false), which is not offered");
  return prompt;
}

/// What the request leaves open comes from the model's sentence-transformers files, as for `corbel embed`.
Result<EmbeddingRequest> read_request(const Json& body, const ServedModel& model) {
  CORBEL_ASSIGN(const RequestFields fields, RequestFields::make(body, Api::embeddings));
  CORBEL_ASSIGN(const EmbeddingDefaults defaults, model.embedding());
  EmbeddingRequest request{.model = fields.text("model", model.name)};
  request.options.pooling = defaults.pooling.value_or(Pooling::last);
  request.options.normalize = defaults.normalize.value_or(true);
  request.options.dimensions = fields.integer("dimensions", 0);
  if (request.options.dimensions > model.info->hidden)
    return refuse_field("dimensions", cat("is ", request.options.dimensions, "; the model gives ", model.info->hidden));
  const std::string encoding = fields.text("encoding_format", "float");
  if (encoding != "float" && encoding != "base64")
    return refuse_field("encoding_format", cat("is ", quote(encoding), "; known: \"float\", \"base64\""));
  if (encoding == "base64") request.encoding = EmbeddingEncoding::base64;
  const Json* const input = fields.find("input");
  if (input == nullptr) return refuse_field("input", "is missing; it must be a text, or a list of texts or token ids");
  CORBEL_ASSIGN(const std::string_view prefix, text_in_front(defaults));
  CORBEL_ASSIGN(request.texts,
                read_token_lists(*input, "input", *model.tokenizer, {.most = kMaxTexts, .prefix = prefix}));
  const std::int64_t most =
      defaults.max_tokens > 0 ? std::min(defaults.max_tokens, model.context_tokens) : model.context_tokens;
  for (std::size_t i = 0; i < request.texts.size(); ++i) {
    if (const std::int64_t tokens = std::ssize(request.texts[i].ids); tokens > most)
      return refuse_field(request.texts.size() > 1 ? cat("input[", i, "]") : "input",
                          cat("has ", tokens, " tokens; the model takes ", most, ", and nothing is cut off"));
  }
  return request;
}

/// The texts of one request, a few at a time. The engine's thread only, once it is submitted.
class EmbeddingRun : public std::enable_shared_from_this<EmbeddingRun> {
 public:
  EmbeddingRun(const EndpointCall& call, EmbeddingRequest request)
      : most_waiting_(call.state.most_waiting),
        metrics_(call.state.metrics.of(call.model->name, call.model->context_tokens)),
        model_(call.model),
        record_(call.record),
        responder_(call.responder),
        request_(std::move(request)),
        vectors_(request_.texts.size()) {}

  void submit() {
    responder_->on_gone([gone = gone_] { *gone = true; });
    model_->engine->post_embedding([self = shared_from_this()](Result<Embedder*> embedder) { self->start(embedder); });
  }

 private:
  void start(const Result<Embedder*>& embedder) {
    if (!embedder) return fail(embedder.error());
    if ((*embedder)->waiting() >= most_waiting_) {
      HttpResponse busy = http_error(429, "too many texts are waiting; come back later", "queue_full");
      busy.headers.emplace_back("retry-after", "1");
      return responder_->respond(std::move(busy));
    }
    embedder_ = *embedder;
    for (std::size_t i = 0; i < kTextsInFlight; ++i) add_next();
  }

  void add_next() {
    if (next_ == request_.texts.size() || failed_ || *gone_) return;
    const std::size_t index = next_++;
    const auto submitted = embedder_->submit(
        {.ids = request_.texts[index].ids,
         .options = request_.options,
         .on_end = [self = shared_from_this(), index](std::vector<float> vector) { self->take(index, vector); },
         .on_error =
             [self = shared_from_this()](const Error& error) {
               self->fail(error.code == Code::cancelled ? Error{Code::cancelled, "the server is shutting down"}
                                                        : error);
             }});
    if (!submitted) fail(submitted.error());
  }

  void take(std::size_t index, std::span<const float> vector) {
    if (failed_) return;
    vectors_[index] = embedding_json(vector, request_.encoding);
    const std::chrono::duration<double> taken = RequestRecord::Clock::now() - record_->arrived;
    metrics_.note_text(std::ssize(request_.texts[index].ids), taken.count());
    if (RequestRecord::Clock::now() > record_->arrived + record_->limits.seconds)
      return fail({Code::cancelled, cat("the request took more than ", record_->limits.seconds.count(), " seconds")});
    if (++done_ == vectors_.size()) return end();
    add_next();
  }

  void end() {
    if (record_->limits.weights_lost != nullptr && *record_->limits.weights_lost)
      return fail({Code::device_failed, "the model's file changed while it was served; the answer is lost"});
    std::int64_t tokens = 0;
    std::string data;
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
      tokens += std::ssize(request_.texts[i].ids);
      data += cat(i > 0 ? "," : "", R"({"object":"embedding","index":)", i, R"(,"embedding":)", vectors_[i], "}");
    }
    record_->note_texts(tokens);
    responder_->respond({.body = cat(R"({"object":"list","data":[)", data, R"(],"model":)", Json(request_.model).dump(),
                                     R"(,"usage":{"prompt_tokens":)", tokens, R"(,"total_tokens":)", tokens, "}}")});
  }

  void fail(const Error& error) {
    if (std::exchange(failed_, true)) return;
    metrics_.note_end({.end = ModelMetrics::End::error});
    responder_->respond(error_response(error));
  }

  std::int64_t most_waiting_;
  ModelMetrics& metrics_;
  ModelLease model_;
  std::shared_ptr<RequestRecord> record_;
  std::shared_ptr<Responder> responder_;
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
  EmbeddingRequest request_;
  Embedder* embedder_ = nullptr;      // the model's engine's
  std::vector<std::string> vectors_;  // as JSON
  std::size_t next_ = 0, done_ = 0;
  bool failed_ = false;
};

}  // namespace

void embeddings_endpoint(const EndpointCall& call) {
  auto request = read_request(*call.body, *call.model);
  if (!request) return call.responder->respond(error_response(request.error()));
  std::make_shared<EmbeddingRun>(call, *std::move(request))->submit();
}

}  // namespace corbel
