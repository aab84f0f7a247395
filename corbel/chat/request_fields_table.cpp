#include <algorithm>
#include <array>
#include <iterator>
#include <map>

#include "corbel/base/cat.h"
#include "corbel/chat/request_fields_rows.h"

namespace corbel {
namespace {

using namespace request_fields_rows;

std::vector<RequestField> sampling_fields() {
  return {
      ranged(honoured("temperature", Type::number, kModels, "divides the logits; 0: always the likeliest token"), 0, 2),
      above(honoured("top_p", Type::number, kModels, "the fewest tokens whose probabilities add up to this"), 0, 1),
      ranged(honoured("top_k", Type::integer, kModels, "so many of the likeliest tokens; 0 or -1: all", kVllm), -1,
             kMostTokens),
      ranged(honoured("min_p", Type::number, "0", "tokens at least this fraction as likely as the likeliest", kVllm), 0,
             1),
      above(honoured("typical_p", Type::number, "1", "tokens of about average surprise that add up to this", "others"),
            0, 1),
      ranged(honoured("presence_penalty", Type::number, "0", "taken from the logits of tokens that the answer has"), -2,
             2),
      ranged(honoured("frequency_penalty", Type::number, "0", "the same, once for each time that the answer has them"),
             -2, 2),
      ranged(honoured("repetition_penalty", Type::number, kModels,
                      "divides positive and multiplies negative logits of tokens of prompt and answer", kVllm),
             0.01, 100),
      ranged(
          honoured("penalty_window", Type::integer, "0", "penalties see so many of the latest tokens; 0: all", kOurs),
          0, kMostTokens),
      ranged(honoured("xtc_probability", Type::number, "0",
                      "how often all but the least likely of the likely tokens go", "others"),
             0, 1),
      above(honoured("xtc_threshold", Type::number, "0.1", "tokens that reach it are likely ones", "others"), 0, 1),
      ranged(honoured("dry_multiplier", Type::number, "0",
                      "taken from the logits of tokens that would make a repetition longer (DRY)", "others"),
             0, 100),
      ranged(honoured("dry_base", Type::number, "1.75", "and so many times more for each token that is repeated",
                      "others"),
             1, 100),
      ranged(honoured("dry_allowed_length", Type::integer, "2", "repetitions of fewer tokens cost nothing", "others"),
             1, kMostTokens),
      ranged(honoured("dry_penalty_last_n", Type::integer, "-1", "repetitions of so many of the latest tokens; -1: all",
                      "others"),
             -1, kMostTokens),
      honoured("dry_sequence_breakers", Type::list, R"(["\n", ":", "\"", "*"])",
               "texts over which no repetition goes on; up to 64", "others"),
      honoured("logit_bias", Type::object, "{}",
               "token ids as texts, each with a number from -100 to 100 that is added"),
      ranged(honoured("seed", Type::integer, "drawn; in a batch from custom_id", "of the numbers that draw tokens"),
             -kMostSeed, kMostSeed),
      ranged(honoured("n", Type::integer, "1", "answers to the prompt, which is run once"), 1, 128),
      of(honoured("logprobs", Type::boolean, "false", "with the answer the log-probability of each of its tokens"),
         {Api::chat}),
      of(ranged(honoured("logprobs", Type::integer, "null",
                         "the log-probability of each token, and of so many of the likeliest ones; with echo also of "
                         "the prompt's"),
                0, kMostTop),
         {Api::completions}),
      of(ranged(honoured("top_logprobs", Type::integer, "0", "and of so many of the likeliest ones; needs logprobs"), 0,
                kMostTop),
         {Api::chat}),
      ranged(honoured("prompt_logprobs", Type::integer, "null",
                      "the log-probability of each of the prompt's tokens, and of so many of the likeliest ones; not "
                      "in a stream",
                      kVllm),
             0, kMostTop),
  };
}

std::vector<RequestField> limit_fields() {
  return {
      of(ranged(honoured("max_completion_tokens", Type::integer, kModels, "most tokens of an answer"), 1, kMostTokens),
         {Api::chat}),
      of(ranged(honoured("max_tokens", Type::integer, "max_completion_tokens", "its older name; both: the same number"),
                1, kMostTokens),
         {Api::chat}),
      of(ranged(honoured("max_tokens", Type::integer, "16", "most tokens of an answer; 0 with echo: the prompt alone"),
                0, kMostTokens),
         {Api::completions}),
      ranged(honoured("min_tokens", Type::integer, "0", "tokens before the answer may end by itself", kVllm), 0,
             kMostTokens),
      honoured("stop", Type::text_or_list, "[]", "texts that end an answer and are not part of it; up to 64"),
      honoured("stop_token_ids", Type::list, "[]", "ids that do the same; up to 64", kVllm),
      honoured("include_stop_str_in_output", Type::boolean, "false", "a text that ends an answer is part of it", kVllm),
      honoured("ignore_eos", Type::boolean, "false", "the model's own ends do not end the answer", kVllm),
      honoured("skip_special_tokens", Type::boolean, "true",
               "false: special tokens of the answer are spelled out in its text", kVllm),
      ranged(honoured("priority", Type::integer, "0", "requests with a higher one go first",
                      "vLLM, which has it upside down"),
             -1000, 1000),
      honoured("cache_salt", Type::text, "\"\"", "prompts share work only with those of the same salt", kVllm),
      honoured("return_receipt", Type::boolean, "false", "with each answer what it came from (docs/server.md)", kOurs),
  };
}

std::vector<RequestField> structure_fields() {
  constexpr std::string_view kOlder = "vLLM (older)";
  return {
      honoured(
          "response_format", Type::object, R"({"type": "text"})",
          "text, json_object, or json_schema with {name, description, schema, strict}; strict or not, it always holds"),
      honoured("structured_outputs", Type::object, "null", "one of json, regex, choice, grammar, json_object", kVllm),
      honoured("guided_json", Type::text_or_object, "null", "a JSON schema", kOlder),
      honoured("guided_regex", Type::text, "null", "a regular expression that all of the answer matches", kOlder),
      honoured("guided_choice", Type::list, "null", "texts of which the answer is one", kOlder),
      honoured("guided_grammar", Type::text, "null", "a grammar in GBNF that the answer follows", kOlder),
      honoured("grammar", Type::text, "null", "the same (docs/structured_output.md)", "others"),
      of(honoured("tools", Type::list, "[]", "functions that the model may call; up to 128"),
         {Api::chat, Api::apply_template}),
      of(honoured("tool_choice", Type::text_or_object, "\"auto\" with tools",
                  "none, auto, required, or one by its name"),
         {Api::chat}),
      of(honoured("parallel_tool_calls", Type::boolean, "true", "false: at most one call in an answer"), {Api::chat}),
  };
}

std::vector<RequestField> caller_fields() {
  return {
      of(used(Use::about_caller, honoured("user", Type::text, "null", "who asks")),
         {Api::chat, Api::completions, Api::embeddings}),
      used(Use::about_caller, honoured("safety_identifier", Type::text, "null", "who asks")),
      used(Use::about_caller,
           honoured("prompt_cache_key", Type::text, "null", "who asks; equal beginnings are found anyway")),
      used(Use::about_caller, honoured("metadata", Type::object, "{}", "what the caller notes")),
      used(Use::warned, honoured("service_tier", Type::text, "\"auto\"", "there is one tier")),
      used(Use::warned, honoured("store", Type::boolean, "false", "nothing is stored")),
      of(used(Use::warned, honoured("verbosity", Type::text, "null", "the prompt says how long an answer should be")),
         {Api::chat}),
      of(used(Use::warned,
              honoured("prediction", Type::object, "null", "drafts are taken from the prompt and the answer")),
         {Api::chat}),
  };
}

std::vector<RequestField> chat_fields() {
  std::vector<RequestField> fields = {
      honoured("reasoning_effort", Type::text, "null", "the same, by this name"),
      only("modalities", Type::list, R"(["text"])", "what an answer consists of"),
      only("best_of", Type::integer, "1", "use n", kVllm),
      only("use_beam_search", Type::boolean, "false", "there is none", kVllm),
      only("echo", Type::boolean, "false", "an answer does not repeat its prompt", kVllm),
      only("functions", Type::list, "[]", "use tools"),
      only("function_call", Type::text_or_object, R"("none" | "auto")", "use tool_choice"),
  };
  for (RequestField& field : fields) field = of(field, {Api::chat});
  for (const RequestField& field :
       {honoured("messages", Type::list, "", "the conversation; at least one message"),
        honoured("chat_template_kwargs", Type::object, "{}",
                 "variables of the model's chat template: enable_thinking, ...", kVllm),
        honoured("add_generation_prompt", Type::boolean, "not continue_final_message",
                 "false: the prompt ends behind the last message", kVllm),
        honoured("continue_final_message", Type::boolean, "false",
                 "the answer goes on with the text of the last message, an assistant's", kVllm)}) {
    fields.push_back(of(field, {Api::chat, Api::apply_template}));
  }
  return fields;
}

std::vector<RequestField> completion_fields() {
  std::vector<RequestField> fields = {
      honoured("prompt", Type::text_or_list, "",
               "a text, a list of up to 256 texts, the ids of a prompt's tokens, or a list of such lists"),
      honoured("echo", Type::boolean, "false", "the text begins with its prompt"),
      ranged(honoured("best_of", Type::integer, "n",
                      "so many answers are made, and the n of them told whose tokens are likeliest on average; more "
                      "than n: not in a stream"),
             1, 128),
      only("suffix", Type::text, "\"\"", "no model here fills in between two texts by this field"),
      only("use_beam_search", Type::boolean, "false", "there is none", kVllm),
  };
  for (RequestField& field : fields) field = of(field, {Api::completions});
  return fields;
}

std::vector<RequestField> embedding_fields() {
  std::vector<RequestField> fields = {
      honoured("input", Type::text_or_list, "",
               "a text, a list of up to 2048 texts, the ids of a text's tokens, or a list of such lists"),
      honoured("encoding_format", Type::text, "\"float\"", "float: a list of numbers; base64: of 32-bit floats"),
      ranged(honoured(
                 "dimensions", Type::integer, "all of the model's",
                 "the first so many numbers, brought to length 1 again where the model's are (models trained for it)"),
             1, 1 << 20),
  };
  for (RequestField& field : fields) field = of(field, {Api::embeddings});
  return fields;
}

/// Of the endpoints for texts and tokens, of /chat and /replay.
std::vector<RequestField> small_fields() {
  return {
      of(honoured("prompt", Type::text, "\"\"", "the text", kVllm), {Api::tokenize}),
      of(honoured("prompt", Type::text, "", "what the user says", kOurs), {Api::simple_chat}),
      of(honoured("content", Type::text, "prompt", "its other name", "others"), {Api::tokenize}),
      of(honoured("with_pieces", Type::boolean, "false", "also the tokens as the vocabulary spells them", "others"),
         {Api::tokenize}),
      of(honoured("tokens", Type::list, "", "token ids", kVllm), {Api::detokenize}),
      of(ranged(honoured("max_tokens", Type::integer, kModels, "most tokens of the answer", kOurs), 1, kMostTokens),
         {Api::simple_chat}),
      of(ranged(
             honoured("temperature", Type::number, kModels, "divides the logits; 0: always the likeliest token", kOurs),
             0, 2),
         {Api::simple_chat}),
      of(honoured("receipt", Type::object, "", "of the answer to make again (docs/server.md)", kOurs), {Api::replay}),
  };
}

std::vector<RequestField> shared_fields() {
  return {
      of(honoured("model", Type::text, "the one named first", "the model's name or an alias (GET /v1/models)"),
         {Api::chat, Api::completions, Api::embeddings, Api::tokenize, Api::detokenize, Api::apply_template,
          Api::simple_chat, Api::replay}),
      of(honoured("add_special_tokens", Type::boolean, "true",
                  "false: texts become tokens without those that begin and end every text", kVllm),
         {Api::completions, Api::tokenize}),
      honoured("stream", Type::boolean, "false", "the answer in pieces as it comes"),
      honoured("stream_options", Type::object, "{}", "include_usage: a last piece with the usage; needs stream"),
  };
}

constexpr auto kPassedOn = std::to_array<std::string_view>({
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "penalty_window",
    "xtc_probability",
    "xtc_threshold",
    "logit_bias",
    "seed",
    "min_tokens",
    "stop",
    "stop_token_ids",
    "include_stop_str_in_output",
    "ignore_eos",
    "skip_special_tokens",
    "priority",
    "cache_salt",
    "chat_template_kwargs",
    "parallel_tool_calls",
});

constexpr std::uint16_t bits(std::initializer_list<Api> apis) {
  std::uint16_t all = 0;
  for (const Api api : apis) all |= static_cast<std::uint16_t>(api);
  return all;
}

/// Fields of chat completions that other requests for an answer have, too.
std::uint16_t also_of(const RequestField& field) {
  if (!field.belongs_to(Api::chat)) return 0;
  struct Also {
    std::string_view name;
    std::uint16_t apis;
  };
  constexpr std::uint16_t kBoth = bits({Api::responses, Api::messages});
  constexpr std::uint16_t kAll = bits({Api::responses, Api::input_tokens, Api::messages, Api::count_tokens});
  constexpr auto kAlso = std::to_array<Also>({
      {"model", kAll},
      {"chat_template_kwargs", kAll},
      {"parallel_tool_calls", bits({Api::responses, Api::input_tokens})},
      {"temperature", bits({Api::responses})},
      {"stop", bits({Api::responses})},
      {"messages", bits({Api::messages, Api::count_tokens})},
      {"stream", kBoth},
      {"metadata", kBoth},
      {"service_tier", kBoth},
      {"user", bits({Api::responses})},
      {"safety_identifier", bits({Api::responses})},
      {"prompt_cache_key", bits({Api::responses})},
      {"store", bits({Api::responses})},
  });
  const auto also = std::ranges::find(kAlso, field.name, &Also::name);
  if (also != kAlso.end()) return also->apis;
  return std::ranges::find(kPassedOn, field.name) != kPassedOn.end() ? kBoth : std::uint16_t{0};
}

std::vector<RequestField> make_table() {
  std::vector<RequestField> table = shared_fields();
  for (const auto& part :
       {sampling_fields(), limit_fields(), structure_fields(), caller_fields(), chat_fields(), completion_fields(),
        embedding_fields(), small_fields(), response_fields(), message_fields()}) {
    table.insert(table.end(), part.begin(), part.end());
  }
  for (RequestField& field : table) field.apis |= also_of(field);
  std::ranges::stable_sort(table, {}, &RequestField::name);
  return table;
}

std::vector<RequestField> table_of(Api api) {
  std::vector<RequestField> fields;
  std::ranges::copy_if(all_request_fields(), std::back_inserter(fields),
                       [api](const RequestField& field) { return field.belongs_to(api); });
  return fields;
}

}  // namespace

std::span<const ApiEntry> all_apis() {
  static constexpr auto kApis = std::to_array<ApiEntry>({
      {Api::chat, "chat", "/v1/chat/completions"},
      {Api::completions, "completions", "/v1/completions"},
      {Api::embeddings, "embeddings", "/v1/embeddings"},
      {Api::tokenize, "tokenize", "/tokenize"},
      {Api::detokenize, "detokenize", "/detokenize"},
      {Api::apply_template, "apply-template", "/apply-template"},
      {Api::simple_chat, "simple", "/chat"},
      {Api::replay, "replay", "/replay"},
      {Api::responses, "responses", "/v1/responses"},
      {Api::input_tokens, "input-tokens", "/v1/responses/input_tokens"},
      {Api::messages, "messages", "/v1/messages"},
      {Api::count_tokens, "count-tokens", "/v1/messages/count_tokens"},
  });
  return kApis;
}

std::span<const std::string_view> passed_on_fields() { return kPassedOn; }

std::span<const RequestField> all_request_fields() {
  static const std::vector<RequestField> kTable = make_table();
  return kTable;
}

std::span<const RequestField> request_fields(Api api) {
  static const auto kTables = [] {
    std::map<Api, std::vector<RequestField>> tables;
    for (const ApiEntry& entry : all_apis()) tables[entry.api] = table_of(entry.api);
    return tables;
  }();
  return kTables.at(api);
}

}  // namespace corbel
