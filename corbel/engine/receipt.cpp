#include "corbel/engine/receipt.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/engine/sampling_json.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 31;
constexpr std::array kReasons = {FinishReason::stop, FinishReason::length, FinishReason::cancelled,
                                 FinishReason::timeout};

/// Cut off from outside: another run would have gone on.
bool was_cut_off(FinishReason reason) { return reason == FinishReason::cancelled || reason == FinishReason::timeout; }

Json ids_json(std::span<const std::int32_t> ids) {
  return {{"ids", std::vector(ids.begin(), ids.end())}, {"hash", to_string(checksum_of(std::as_bytes(ids)))}};
}

Result<std::vector<std::int32_t>> read_ids(const JsonFields& fields) {
  CORBEL_ASSIGN(const std::vector<std::int64_t> wide, fields.get_ints("ids"));
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : wide) {
    if (id < 0 || id >= kMostTokens)
      return fail(Code::bad_file,
                  cat(fields.source(), ": ", id, " in \"", fields.field_name("ids"), "\" is no token id"));
    ids.push_back(static_cast<std::int32_t>(id));
  }
  CORBEL_ASSIGN(const std::string hash, fields.require_string("hash"));
  if (const std::string found = to_string(checksum_of(std::as_bytes(std::span(ids)))); found != hash)
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("ids"), "\" have the hash ", found,
                                    ", not ", quote(hash), ": the receipt was altered"));
  return ids;
}

Result<void> read_run(const JsonFields& fields, Receipt& receipt) {
  constexpr std::array kKnown = {std::string_view("model_hash"),     std::string_view("profile"),
                                 std::string_view("strategy"),       std::string_view("kv_cache"),
                                 std::string_view("context_tokens"), std::string_view("context_matters")};
  CORBEL_TRY(check_known_fields(fields, kKnown));
  RunIdentity& run = receipt.run;
  CORBEL_ASSIGN(run.model_hash, fields.require_string("model_hash"));
  CORBEL_ASSIGN(run.profile, fields.require_string("profile"));
  CORBEL_ASSIGN(run.strategy, fields.require_string("strategy"));
  CORBEL_ASSIGN(run.kv_cache, fields.require_string("kv_cache"));
  CORBEL_ASSIGN(receipt.request.context_tokens, fields.require_int("context_tokens", 1, kMostTokens));
  CORBEL_ASSIGN(const bool context_matters, fields.get_bool("context_matters", false));
  run.context_tokens = context_matters ? receipt.request.context_tokens : 0;
  return {};
}

Result<void> read_prompt(const JsonFields& fields, Receipt& receipt) {
  constexpr std::array kKnown = {std::string_view("ids"), std::string_view("hash")};
  CORBEL_TRY(check_known_fields(fields, kKnown));
  CORBEL_ASSIGN(receipt.request.prompt, read_ids(fields));
  if (receipt.request.prompt.empty()) return fail(Code::bad_file, cat(fields.source(), ": the prompt has no tokens"));
  return {};
}

Result<void> read_answer(const JsonFields& fields, Receipt& receipt) {
  constexpr std::array kKnown = {std::string_view("ids"), std::string_view("hash"), std::string_view("text"),
                                 std::string_view("finish_reason")};
  CORBEL_TRY(check_known_fields(fields, kKnown));
  CORBEL_ASSIGN(receipt.ids, read_ids(fields));
  CORBEL_ASSIGN(receipt.text, fields.require_string("text"));
  CORBEL_ASSIGN(const std::string name, fields.require_string("finish_reason"));
  const auto reason =
      std::ranges::find_if(kReasons, [&](FinishReason known) { return finish_reason_name(known) == name; });
  if (reason == kReasons.end())
    return fail(Code::bad_file, cat(fields.source(), ": \"", fields.field_name("finish_reason"), "\" is ", quote(name),
                                    "; known: \"stop\", \"length\", \"cancelled\", \"timeout\""));
  receipt.finish = *reason;
  return {};
}

/// false; true: to something that is not told; an object.
Result<void> read_constraint_field(const JsonFields& fields, ReceiptRequest& request) {
  if (!fields.has("constraint") || !fields.json()["constraint"].is_object()) {
    CORBEL_ASSIGN(request.constrained, fields.get_bool("constraint", false));
    return {};
  }
  CORBEL_ASSIGN(const JsonFields constraint, fields.object("constraint"));
  CORBEL_ASSIGN(request.constraint, read_constraint(constraint));
  request.constrained = true;
  return {};
}

std::string token_text(const Tokenizer& tokenizer, std::int32_t id) {
  std::string bytes;
  tokenizer.append_bytes(id, false, bytes);
  return cat(id, " (", quote(bytes), ')');
}

}  // namespace

ReceiptRequest receipt_request(const EngineRequest& request, std::uint32_t choice, std::int64_t context_tokens) {
  ReceiptRequest made{.prompt = request.prompt,
                      .sampling = request.sampling,
                      .limits = request.limits,
                      .on_full = request.on_full,
                      .keep_tokens = request.keep_tokens,
                      .context_tokens = context_tokens,
                      .constrained = request.constraint != nullptr};
  made.sampling.choice += choice;
  return made;
}

ReceiptRequest receipt_request(std::span<const std::int32_t> prompt, const GenerateOptions& options,
                               std::int64_t context_tokens) {
  return {.prompt = {prompt.begin(), prompt.end()},
          .sampling = options.sampling,
          .limits = options.limits(),
          .on_full = options.on_full,
          .keep_tokens = options.keep_tokens,
          .context_tokens = context_tokens};
}

Receipt make_receipt(const RunIdentity& run, ReceiptRequest request, const GenerateResult& result) {
  return {.run = run, .request = std::move(request), .ids = result.ids, .text = result.text, .finish = result.finish};
}

Json receipt_json(const Receipt& receipt) {
  const ReceiptRequest& request = receipt.request;
  Json prompt = ids_json(request.prompt);
  Json answer = ids_json(receipt.ids);
  answer["text"] = receipt.text;
  answer["finish_reason"] = finish_reason_name(receipt.finish);
  return {{"format", kReceiptFormat},
          {"corbel", receipt.corbel},
          {"model", receipt.model},
          {"run",
           {{"model_hash", receipt.run.model_hash},
            {"profile", receipt.run.profile},
            {"strategy", receipt.run.strategy},
            {"kv_cache", receipt.run.kv_cache},
            {"context_tokens", request.context_tokens},
            {"context_matters", receipt.run.context_tokens > 0}}},
          {"sampling", sampling_json(request.sampling)},
          {"limits", limits_json(request.limits)},
          {"on_full", request.on_full == OnFull::slide ? "slide" : "stop"},
          {"keep_tokens", request.keep_tokens},
          {"constraint", request.constraint ? constraint_json(*request.constraint) : Json(request.constrained)},
          {"prompt", std::move(prompt)},
          {"answer", std::move(answer)}};
}

Result<Receipt> read_receipt(const Json& json, const std::string& source) {
  constexpr std::array kKnown = {
      std::string_view("format"),  std::string_view("corbel"),      std::string_view("model"),
      std::string_view("run"),     std::string_view("sampling"),    std::string_view("limits"),
      std::string_view("on_full"), std::string_view("keep_tokens"), std::string_view("constraint"),
      std::string_view("prompt"),  std::string_view("answer")};
  const JsonFields fields(json, source);
  CORBEL_ASSIGN(const std::string format, fields.require_string("format"));
  if (format != kReceiptFormat)
    return fail(Code::bad_file,
                cat(source, ": \"format\" is ", quote(format), ", this program reads ", quote(kReceiptFormat)));
  CORBEL_TRY(check_known_fields(fields, kKnown));
  for (const std::string_view part : {"run", "sampling", "limits", "prompt", "answer"}) {
    if (!fields.has(part)) return fail(Code::bad_file, cat(source, ": \"", part, "\" is missing"));
  }
  Receipt receipt;
  CORBEL_ASSIGN(receipt.corbel, fields.get_string("corbel", ""));
  CORBEL_ASSIGN(receipt.model, fields.get_string("model", ""));
  CORBEL_ASSIGN(const JsonFields run, fields.object("run"));
  CORBEL_TRY(read_run(run, receipt));
  CORBEL_ASSIGN(const JsonFields sampling, fields.object("sampling"));
  CORBEL_ASSIGN(receipt.request.sampling, read_sampling(sampling));
  CORBEL_ASSIGN(const JsonFields limits, fields.object("limits"));
  CORBEL_ASSIGN(receipt.request.limits, read_limits(limits));
  CORBEL_ASSIGN(const std::string on_full, fields.get_string("on_full", "stop"));
  if (on_full != "stop" && on_full != "slide")
    return fail(Code::bad_file, cat(source, ": \"on_full\" is ", quote(on_full), "; known: \"stop\", \"slide\""));
  receipt.request.on_full = on_full == "slide" ? OnFull::slide : OnFull::stop;
  CORBEL_ASSIGN(receipt.request.keep_tokens, fields.get_int("keep_tokens", 0, 0, kMostTokens));
  CORBEL_TRY(read_constraint_field(fields, receipt.request));
  CORBEL_ASSIGN(const JsonFields prompt, fields.object("prompt"));
  CORBEL_TRY(read_prompt(prompt, receipt));
  CORBEL_ASSIGN(const JsonFields answer, fields.object("answer"));
  CORBEL_TRY(read_answer(answer, receipt));
  return receipt;
}

Result<EngineRequest> replay_request(const Receipt& receipt, const Tokenizer& tokenizer) {
  const ReceiptRequest& from = receipt.request;
  EngineRequest request;
  request.prompt = from.prompt;
  request.sampling = from.sampling;
  request.limits = from.limits;
  request.on_full = from.on_full;
  request.keep_tokens = from.keep_tokens;
  request.fills_context = true;
  if (was_cut_off(receipt.finish) && !receipt.ids.empty()) request.limits.max_tokens = std::ssize(receipt.ids);
  if (!from.constrained) return request;
  if (!from.constraint)
    return fail(Code::unsupported, "the answer had to follow a grammar that the receipt does not hold");
  ConstraintCompiler compiler(tokenizer, from.constraint->end_ids);
  CORBEL_ASSIGN(request.constraint, compiler.compile(from.constraint->grammar, from.constraint->options));
  return request;
}

std::string first_difference(const Receipt& receipt, const GenerateResult& now, const Tokenizer& tokenizer) {
  const auto [then_id, now_id] = std::mismatch(receipt.ids.begin(), receipt.ids.end(), now.ids.begin(), now.ids.end());
  const auto index = then_id - receipt.ids.begin();
  const bool ended_then = then_id == receipt.ids.end(), ended_now = now_id == now.ids.end();
  if (!ended_then && !ended_now)
    return cat("token ", index, " is ", token_text(tokenizer, *now_id), ", the receipt has ",
               token_text(tokenizer, *then_id));
  if (ended_then && was_cut_off(receipt.finish)) return {};  // its text may lack what was held back at the cut
  if (ended_then != ended_now)
    return cat("the answer has ", now.ids.size(), " tokens, the receipt ", receipt.ids.size(), "; all of the shorter ",
               "one are the same");
  if (now.text != receipt.text) return "all tokens are the same, the text is not: another tokenizer or stop string";
  if (now.finish != receipt.finish)
    return cat("all tokens are the same, the answer ends by ", finish_reason_name(now.finish), ", the receipt's by ",
               finish_reason_name(receipt.finish));
  return {};
}

}  // namespace corbel
