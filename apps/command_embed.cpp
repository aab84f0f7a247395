#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/environment.h"
#include "apps/json_lines.h"
#include "apps/model_setup.h"
#include "apps/number_text.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/engine/embed.h"
#include "corbel/engine/embedding_defaults.h"

namespace corbel::app {

int run_embed(const std::vector<std::string>& arguments);

namespace {

constexpr std::int64_t kMostInputBytes = std::int64_t{4} << 30;

struct EmbedFlags {
  std::vector<std::string> words;  // [MODEL] [TEXT... | FILE.jsonl | -]
  std::string model;
  std::string quant;
  std::string pooling;
  std::string prompt;
  std::string encoding = "float";
  std::optional<std::int64_t> dimensions, context;
  bool normalize = false;
  bool no_normalize = false;
  bool json = false;
  DeviceChoice device;
};

/// One text, and what its line of output repeats.
struct EmbedText {
  std::string text;
  Json id;             // "custom_id" of its line; null without
  std::string source;  // for messages: "texts.jsonl: line 3"
};

bool is_json_lines(const std::string& word) {
  std::error_code ignored;
  return word.ends_with(".jsonl") && std::filesystem::exists(word, ignored);
}

/// Whether the first word is the model. A word that looks like one and is none is refused: embedding a model's name by
/// another model would be no answer.
Result<bool> names_model(const std::string& word) {
  if (word == "-" || is_json_lines(word)) return false;
  if (word == "pico") return true;
  const bool is_path =
      word.starts_with('/') || word.starts_with("./") || word.starts_with("../") || word.starts_with("~/");
  const auto found = resolve_model_path(word, model_search());
  if (found && !found->empty()) return true;
  if (!found && (is_path || looks_like_repository(word)))
    return fail(found.error().code, cat(found.error().message, " (to embed this text, name the model by --model)"));
  return false;
}

Result<std::vector<EmbedText>> read_json_lines(std::string_view text, const std::string& name) {
  std::vector<EmbedText> texts;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string source = cat(name, ": line ", number);
    CORBEL_ASSIGN(const Json line, parse_json(one, source));
    if (line.is_string()) {
      texts.push_back({line.get<std::string>(), nullptr, source});
      continue;
    }
    if (!line.is_object()) return fail(Code::bad_file, cat(source, " is neither a string nor an object"));
    const JsonFields fields(line, source);
    CORBEL_ASSIGN(std::string input, fields.require_string(fields.has("text") ? "text" : "input"));
    texts.push_back({std::move(input), fields.has("custom_id") ? line["custom_id"] : Json(), source});
  }
  return texts;
}

/// Standard input: lines of JSON where the first line is such, else one text.
Result<std::vector<EmbedText>> read_input() {
  CORBEL_ASSIGN(std::string text, read_standard_input("the text", static_cast<std::size_t>(kMostInputBytes)));
  if (parse_json(std::string_view(text).substr(0, text.find('\n')), "standard input"))
    return read_json_lines(text, "standard input");
  while (text.ends_with('\n')) text.pop_back();
  return std::vector<EmbedText>{{std::move(text), nullptr, "standard input"}};
}

Result<std::vector<EmbedText>> read_texts(const std::vector<std::string>& words) {
  if (words.empty() || (words.size() == 1 && words[0] == "-")) return read_input();
  if (words.size() == 1 && is_json_lines(words[0])) {
    CORBEL_ASSIGN(const std::string text, read_text_file(words[0], kMostInputBytes));
    return read_json_lines(text, words[0]);
  }
  std::vector<EmbedText> texts;
  for (const std::string& word : words) texts.push_back({word, nullptr, cat("text ", texts.size() + 1)});
  return texts;
}

/// What the flags leave open comes from the model's folder.
struct Recipe {
  EmbedOptions options;
  std::string prompt;            // in front of every text
  std::int64_t most_tokens = 0;  // of a text, by the model's files; 0: the context
};

Result<Recipe> choose_recipe(const EmbedFlags& flags, const EmbeddingDefaults& defaults) {
  Recipe recipe;
  recipe.options.pooling = flags.pooling == "mean"   ? Pooling::mean
                           : flags.pooling == "last" ? Pooling::last
                                                     : defaults.pooling.value_or(Pooling::last);
  recipe.options.normalize = flags.normalize || (!flags.no_normalize && defaults.normalize.value_or(true));
  recipe.options.dimensions = flags.dimensions.value_or(0);
  if (!flags.context) recipe.most_tokens = defaults.max_tokens;
  const std::string& name = flags.prompt.empty() ? defaults.default_prompt : flags.prompt;
  if (name.empty()) return recipe;
  const auto prompt = defaults.prompts.find(name);
  if (prompt == defaults.prompts.end()) {
    std::string known;
    for (const auto& [key, text] : defaults.prompts) known += cat(known.empty() ? "" : ", ", key);
    return fail(Code::bad_request, cat("--prompt is ", quote(name), "; the model has ",
                                       known.empty() ? "none (config_sentence_transformers.json)" : known));
  }
  if (!prompt->second.empty() && !defaults.includes_prompt && recipe.options.pooling == Pooling::mean)
    return fail(Code::unsupported,
                "the model's mean leaves out the prompt's tokens (\"include_prompt\" is false), "
                "which is not offered; write the prompt in front of the text to count it in");
  recipe.prompt = prompt->second;
  return recipe;
}

/// Vectors in the order of the texts, each written when all before it are there.
class EmbedRun {
 public:
  EmbedRun(OpenRunner& open, Embedder embedder, const EmbedFlags& flags, const std::vector<EmbedText>& texts)
      : open_(open), embedder_(std::move(embedder)), flags_(flags), texts_(texts) {}

  Result<void> run(const Recipe& recipe) {
    CORBEL_TRY(encode(recipe));
    while (next_ < texts_.size() || embedder_.running() + embedder_.waiting() > 0) {
      // A few steps' worth ahead, so that a long file does not stand in the queue as a whole.
      while (next_ < texts_.size() && embedder_.waiting() < open_.runner->limits().sequences)
        CORBEL_TRY(submit(recipe));
      embedder_.step(&interrupted());
      if (error_) return Failure{*error_};
    }
    if (!flags_.json) return {};
    const Json model = open_.model->loaded.package->name();
    const bool shown = print(cat("{\"object\":\"list\",\"data\":[", data_, "],\"model\":", model.dump(),
                                 ",\"usage\":{\"prompt_tokens\":", tokens_, ",\"total_tokens\":", tokens_, "}}\n"));
    return shown ? Result<void>() : cannot_print();
  }

  std::string summary() const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return cat(texts_.size(), texts_.size() == 1 ? " text, " : " texts, ", tokens_, " tokens in ",
               format("%.2f", seconds), " s: ", format("%.1f", static_cast<double>(tokens_) / std::max(seconds, 1e-3)),
               " tok/s, ", embedder_.steps(), " steps\n");
  }

 private:
  static Failure cannot_print() { return fail(Code::bad_file, "cannot write to standard output"); }

  /// All texts, checked before anything runs: a text too long should not show after hours.
  Result<void> encode(const Recipe& recipe) {
    for (const EmbedText& text : texts_) {
      auto ids = open_.model->tokenizer->encode(recipe.prompt + text.text);
      if (!ids) return forward_failure(ids, text.source);
      tokens_ += std::ssize(*ids);
      if (recipe.most_tokens > 0 && std::ssize(*ids) > recipe.most_tokens)
        return fail(Code::bad_request,
                    cat(text.source, ": the text has ", ids->size(), " tokens, the model takes ", recipe.most_tokens,
                        " (sentence_bert_config.json, \"max_seq_length\"); "
                        "nothing is cut off: split the text, or say --context"));
      EmbedRequest request{.ids = *std::move(ids), .options = recipe.options};
      if (const auto valid = embedder_.check(request); !valid) return forward_failure(valid, text.source);
      ids_.push_back(std::move(request.ids));
    }
    return {};
  }

  Result<void> submit(const Recipe& recipe) {
    const std::size_t index = next_++;
    const std::int64_t tokens = std::ssize(ids_[index]);
    return embedder_.submit(
        {.ids = std::move(ids_[index]),
         .options = recipe.options,
         .on_end = [this, index, tokens](const std::vector<float>& vector) { put(index, tokens, vector); },
         .on_error =
             [this, index](const Error& error) {
               if (!error_) error_ = {error.code, cat(texts_[index].source, ": ", error.message)};
             }});
  }

  std::string line_of(std::size_t index, std::int64_t tokens, std::span<const float> vector) const {
    const std::string values = embedding_json(
        vector, flags_.encoding == "base64" ? EmbeddingEncoding::base64 : EmbeddingEncoding::number_list);
    if (flags_.json)
      return cat(index > 0 ? "," : "", "{\"object\":\"embedding\",\"index\":", index, ",\"embedding\":", values, "}");
    const Json& id = texts_[index].id;
    return cat("{\"index\":", index, id.is_null() ? "" : cat(",\"custom_id\":", id.dump(-1, ' ', true)),
               ",\"tokens\":", tokens, ",\"embedding\":", values, "}\n");
  }

  void put(std::size_t index, std::int64_t tokens, std::span<const float> vector) {
    early_[index] = line_of(index, tokens, vector);
    std::string ready;
    for (auto next = early_.find(done_); next != early_.end(); next = early_.find(done_)) {
      ready += next->second;
      early_.erase(next);
      ++done_;
    }
    if (flags_.json) {
      data_ += ready;
    } else if (!ready.empty() && !print(ready) && !error_) {
      error_ = cannot_print().error;
    }
  }

  OpenRunner& open_;
  Embedder embedder_;
  const EmbedFlags& flags_;
  const std::vector<EmbedText>& texts_;
  std::vector<std::vector<std::int32_t>> ids_;
  std::size_t next_ = 0;
  std::size_t done_ = 0;
  std::map<std::size_t, std::string> early_;
  std::string data_;  // --json
  std::int64_t tokens_ = 0;
  std::optional<Error> error_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Result<std::string> embed(const EmbedFlags& flags, const std::string& model, const std::vector<std::string>& words) {
  CORBEL_ASSIGN(const std::vector<EmbedText> texts, read_texts(words));
  if (texts.empty()) return fail(Code::bad_request, "there is no text");
  CORBEL_ASSIGN(const std::shared_ptr<const ModelPackage> package, find_package(model));
  CORBEL_ASSIGN(const EmbeddingDefaults defaults, read_embedding_defaults(package->files()));
  CORBEL_ASSIGN(const Recipe recipe, choose_recipe(flags, defaults));
  CORBEL_ASSIGN(const std::unique_ptr<OpenRunner> open,
                open_embedding_runner({model, flags.quant}, flags.device, flags.context));
  CORBEL_ASSIGN(Embedder embedder, Embedder::make(*open->runner));
  EmbedRun run(*open, std::move(embedder), flags, texts);
  CORBEL_TRY(run.run(recipe));
  return run.summary();
}

int refuse(std::string_view message) {
  print_error(message);
  return kWrongUsage;
}

}  // namespace

int run_embed(const std::vector<std::string>& arguments) {
  EmbedFlags flags;
  CommandLine line("embed",
                   "Turns texts into vectors, one line of JSON each, in the order of the texts. What is not said comes "
                   "from the model's sentence-transformers files; without them: last token, normalized.");
  line.positionals("model text", flags.words,
                   "the model (left out: built in), then texts, or FILE.jsonl (lines: a string, or an object with "
                   "\"input\" and perhaps \"custom_id\"), or \"-\" for standard input");
  line.text("--model", flags.model, "the model; all other words are texts");
  line.choice("--pooling", flags.pooling, {"last", "mean"}, "the last token's hidden state, or the mean of all");
  line.integer("--dimensions", flags.dimensions, "keep the first D, then normalize (Matryoshka models)");
  line.toggle("--normalize", flags.normalize, "to length 1, also where the model's files do not say so");
  line.toggle("--no-normalize", flags.no_normalize, "as they are");
  line.text("--prompt", flags.prompt, "put the model's prompt of this name in front of every text: query, ...");
  line.choice("--encoding-format", flags.encoding, {"float", "base64"}, "how vectors are written");
  line.toggle("--json", flags.json, "one object as OpenAI's /v1/embeddings gives it");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.integer("--context", flags.context, "most tokens of a text; longer ones are refused, never cut");
  flags.device.add_flags(line);
  line.example("corbel embed ~/models/Qwen3-Embedding-0.6B \"What is a KV cache?\" --prompt query");
  line.example("corbel embed ~/models/Qwen3-Embedding-0.6B texts.jsonl --dimensions 256 --encoding-format base64");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.normalize && flags.no_normalize) return refuse("--normalize and --no-normalize contradict each other");
  if (flags.dimensions && *flags.dimensions < 1)
    return refuse(cat("--dimensions is ", *flags.dimensions, "; it must be 1 or more"));
  if (flags.context && *flags.context < 1)
    return refuse(cat("--context is ", *flags.context, "; it must be 1 or more"));
  if (const auto valid = flags.device.validate(); !valid) return refuse(valid.error().message);
  std::string model = flags.model;
  std::vector<std::string> words = flags.words;
  if (model.empty() && !words.empty()) {
    const auto first = names_model(words[0]);
    if (!first) return report(first.error());
    if (*first) {
      model = words[0];
      words.erase(words.begin());
    }
  }
  if (words.empty() && input_is_terminal()) return refuse("no text: corbel embed [MODEL] \"a text\"");
  catch_interrupts();
  const auto done = embed(flags, model, words);
  if (!done && done.error().code == Code::cancelled) return kInterrupted;
  if (!done) return report(done.error());
  print_error_text(*done);
  return kOk;
}

}  // namespace corbel::app
