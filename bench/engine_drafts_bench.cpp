// engine_drafts_bench CONFIG [--case NAME]... [--streams N] [--repeat N] [--tokens N] [--layers N] [--threads N]
// [--tokenizer FOLDER] [--json]
//
// What drafts gain and what they may cost: answers with drafts and without, in turns, on 4-bit weights made from a seed
// for the shape of CONFIG. Such a model has nothing to say, so the answer's words are given: every step runs the whole
// model and pays for all its rows, then the given token becomes the likeliest. Texts are this repository's own, in the
// tokens of the built-in model (--tokenizer: of another).
//
//   edit    a source file, then the same with a name changed and lines put in
//   quote   a page, then another page's sentences with passages of the first between them
//   prose   a page, then another one: only words and phrases repeat
//   random  tokens without order: nothing repeats
//   trap    random words of a few: what stood before never tells what follows
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/base/mapped_file.h"
#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/engine.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

namespace {

using namespace corbel;
using Ids = std::vector<std::int32_t>;

struct Flags {
  std::string config;
  std::string tokenizer = CORBEL_SOURCE_DIR "/share/pico";
  std::vector<std::string> cases;
  std::int64_t streams = 1;
  std::int64_t repeat = 3;
  std::int64_t tokens = 300;
  std::int64_t layers = 0;
  std::int64_t threads = 2;
  bool json = false;
};

/// A model that costs what it costs and says what it is told: behind `told[0, p]` the token told[p + 1].
class ToldModel final : public TextModel {
 public:
  explicit ToldModel(const TextModel& model) : model_(model) {}
  void tell(const Ids& told) { told_ = &told; }

  const TextModelInfo& info() const override { return model_.info(); }
  void embed(const StepInputs& step, const TensorView& hidden, RunContext& context) const noexcept override {
    model_.embed(step, hidden, context);
  }
  void run_layers(int first, int count, const StepInputs& step, const TensorView& hidden, const CacheView& cache,
                  RunContext& context) const noexcept override {
    model_.run_layers(first, count, step, hidden, cache, context);
  }
  void final_hidden(const StepInputs& step, const TensorView& hidden, const TensorView& rows,
                    RunContext& context) const noexcept override {
    model_.final_hidden(step, hidden, rows, context);
  }
  void head(const StepInputs& step, const TensorView& hidden, const TensorView& logits,
            RunContext& context) const noexcept override {
    model_.head(step, hidden, logits, context);
    if (told_ == nullptr || context.scratch->measuring()) return;
    const Rows<float> rows(logits);
    for (std::int64_t i = 0; i < step.logit_rows; ++i) {
      const std::int32_t row = static_cast<const std::int32_t*>(step.logit_index.data)[i];
      const std::int32_t slot = static_cast<const std::int32_t*>(step.slots.data)[row];
      if (slot + 1 < std::ssize(*told_)) rows[i][(*told_)[slot + 1]] = 1e6F;
    }
  }

 private:
  const TextModel& model_;
  const Ids* told_ = nullptr;
};

/// A prompt and the answer to it, one behind the other.
struct Case {
  Ids told;
  std::int64_t prompt = 0;
};

class Texts {
 public:
  Texts(const Tokenizer& tokenizer, const Flags& flags) : tokenizer_(tokenizer), tokens_(flags.tokens) {}

  Result<Case> make(const std::string& name) const {
    if (name == "random" || name == "trap") return random(name == "trap" ? 12 : 4000);
    CORBEL_ASSIGN(const std::string source, text("corbel/engine/page_pool.cpp"));
    CORBEL_ASSIGN(const std::string page, text("docs/engine.md"));
    CORBEL_ASSIGN(const std::string other, text("docs/receipts.md"));
    if (name == "edit") return join(source, edited(source));
    if (name == "prose") return join(page, other);
    if (name == "quote") return join(page, quoting(page, other));
    return fail(Code::bad_request, cat("no case ", name, "; known: edit, quote, prose, random, trap"));
  }

 private:
  static Result<std::string> text(const std::string& path) {
    return read_text_file(cat(CORBEL_SOURCE_DIR, "/", path), 1 << 20);
  }
  Result<Case> join(const std::string& prompt, const std::string& answer) const {
    Case made;
    CORBEL_ASSIGN(made.told, tokenizer_.encode(prompt));
    made.told.resize(std::min<std::size_t>(made.told.size(), 800));
    made.prompt = std::ssize(made.told);
    CORBEL_ASSIGN(Ids rest, tokenizer_.encode(answer, {.add_special_tokens = false}));
    rest.resize(std::min(rest.size(), static_cast<std::size_t>(tokens_)));
    made.told.insert(made.told.end(), rest.begin(), rest.end());
    return made;
  }
  /// A name of its own for the pool's size, and a line more in front of every fourth.
  static std::string edited(std::string text) {
    for (std::size_t at = text.find("total_"); at != std::string::npos; at = text.find("total_", at + 8))
      text.replace(at, 6, "page_count_");
    std::string out;
    int line = 0;
    for (std::size_t at = 0; at < text.size(); ++line) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      if (line % 12 == 11) out += cat("  // Step ", line / 12, ": seen by the reviewer.\n");
      out += text.substr(at, end - at);
      at = end;
    }
    return out;
  }
  /// Short sentences of `other`, and behind each two of `page`, as they stand there.
  static std::string quoting(const std::string& page, const std::string& other) {
    const auto sentences = [](const std::string& text) {
      std::vector<std::string> all;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(". ", at), text.size() - 2) + 2;
        all.push_back(text.substr(at, end - at));
        at = end;
      }
      return all;
    };
    std::vector<std::string> own = sentences(other);
    std::erase_if(own, [](const std::string& one) { return one.size() > 120; });
    const std::vector<std::string> quoted = sentences(page.substr(0, 2200));  // what the prompt surely has
    std::string out;
    for (std::size_t i = 0; i < own.size(); ++i) {
      const std::size_t from = (i * 3 + 1) % (quoted.size() - 1);
      out += cat(own[i], "\"", quoted[from], quoted[from + 1], "\" ");
    }
    return out;
  }
  Case random(std::uint32_t kinds) const {
    Case made{.prompt = 800};
    std::mt19937 random(7);
    while (std::ssize(made.told) < made.prompt + tokens_)
      made.told.push_back(static_cast<std::int32_t>(10 + random() % kinds));
    return made;
  }

  const Tokenizer& tokenizer_;
  std::int64_t tokens_;
};

struct Run {
  double tok_per_s = 0.0;
  double tokens_per_step = 0.0;
};

Run run_once(Engine& engine, const Case& wanted, std::int64_t streams) {
  double seconds = 0.0;
  std::int64_t tokens = 0;
  std::int64_t steps = 0;
  for (std::int64_t stream = 0; stream < streams; ++stream) {
    EngineRequest request;
    request.prompt.assign(wanted.told.begin(), wanted.told.begin() + wanted.prompt);
    request.limits.max_tokens = std::ssize(wanted.told) - wanted.prompt;
    request.on_end = [&](const GenerateResult& result) {
      CORBEL_CHECK(std::equal(result.ids.begin(), result.ids.end(), wanted.told.begin() + wanted.prompt),
                   "the answer is not what the model was told to say");
      seconds = std::max(seconds, result.figures.decode_seconds);
      tokens += result.figures.generated_tokens - 1;
      steps += result.figures.steps;
    };
    const auto id = engine.submit(std::move(request));
    CORBEL_CHECK(id.has_value(), id.error().message);
  }
  while (engine.step()) continue;
  return {static_cast<double>(tokens) / seconds, static_cast<double>(tokens) / static_cast<double>(steps - streams)};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Row {
  std::string name;
  double without = 0.0, with = 0.0, speedup = 0.0, least = 0.0, tokens_per_step = 0.0;
};

Row measure(StepRunner& runner, const Tokenizer& tokenizer, const Case& wanted, const Flags& flags) {
  Engine without(runner, tokenizer, {.prefix_cache = false, .drafts = Drafts::none});
  Engine with(runner, tokenizer, {.prefix_cache = false});
  std::vector<double> rates[2];
  std::vector<double> ratios;
  Row row;
  for (std::int64_t turn = -1; turn < flags.repeat; ++turn) {  // the first one warms up
    Run runs[2];
    const bool swap = turn % 2 != 0;
    for (const bool drafts : {swap, !swap})
      runs[drafts ? 1 : 0] = run_once(drafts ? with : without, wanted, flags.streams);
    if (turn < 0) continue;
    for (const int i : {0, 1}) rates[i].push_back(runs[i].tok_per_s);
    ratios.push_back(runs[1].tok_per_s / runs[0].tok_per_s);
    row.tokens_per_step = runs[1].tokens_per_step;
  }
  row.without = median(rates[0]);
  row.with = median(rates[1]);
  row.speedup = median(ratios);
  row.least = std::ranges::min(ratios);
  return row;
}

void print(const std::vector<Row>& rows, bool json) {
  Json list = Json::array();
  if (!json)
    std::printf("%-8s %14s %14s %9s %9s %16s\n", "case", "without, tok/s", "with, tok/s", "speed-up", "least",
                "tokens per step");
  for (const Row& row : rows) {
    list.push_back({{"case", row.name},
                    {"without_tok_per_s", row.without},
                    {"with_tok_per_s", row.with},
                    {"speedup", row.speedup},
                    {"least_speedup", row.least},
                    {"tokens_per_step", row.tokens_per_step}});
    if (!json)
      std::printf("%-8s %14.1f %14.1f %8.2fx %8.2fx %16.2f\n", row.name.c_str(), row.without, row.with, row.speedup,
                  row.least, row.tokens_per_step);
  }
  if (json) std::printf("%s\n", list.dump(1).c_str());
}

Result<void> run(const Flags& flags) {
  CORBEL_ASSIGN(Json config, read_json_file(flags.config));
  if (flags.layers > 0) config["num_hidden_layers"] = flags.layers;
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(flags.tokenizer));
  CORBEL_ASSIGN(const std::unique_ptr<ThreadPool> pool, ThreadPool::make(static_cast<int>(flags.threads)));
  CORBEL_ASSIGN(const std::unique_ptr<Device> device, linked_devices().front().make({}, *pool));
  CORBEL_ASSIGN(const WeightFormat* const matrices, find_weight_format("w4g16"));
  CORBEL_ASSIGN(const WeightFormat* const tables, find_weight_format("w6g8"));
  auto source =
      std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>(), SeededFormats{matrices, tables});
  CORBEL_ASSIGN(const std::unique_ptr<TextModel> model,
                make_text_model(config, flags.config, std::move(source), *device, linked_model_families(), {}));
  ToldModel told(*model);
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(told, *device,
                                                    {.step_rows = 512,
                                                     .logit_rows = flags.streams + kDraftLogitRows,
                                                     .sequences = flags.streams,
                                                     .context_tokens = 2048 + flags.tokens}));
  const Texts texts(tokenizer, flags);
  std::vector<Row> rows;
  for (const std::string& name : flags.cases) {
    CORBEL_ASSIGN(const Case wanted, texts.make(name));
    told.tell(wanted.told);
    rows.push_back(measure(runner, tokenizer, wanted, flags));
    rows.back().name = name;
  }
  print(rows, flags.json);
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  Flags flags;
  std::map<std::string_view, std::int64_t*> numbers = {{"--streams", &flags.streams},
                                                       {"--repeat", &flags.repeat},
                                                       {"--tokens", &flags.tokens},
                                                       {"--layers", &flags.layers},
                                                       {"--threads", &flags.threads}};
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (name == "--json") {
      flags.json = true;
    } else if (!name.starts_with("--")) {
      flags.config = name;
    } else if (i + 1 < count) {
      const std::string_view text = arguments[++i];
      if (name == "--case") flags.cases.emplace_back(text);
      if (name == "--tokenizer") flags.tokenizer = text;
      if (numbers.contains(name)) std::from_chars(text.data(), text.data() + text.size(), *numbers[name]);
    }
  }
  if (flags.config.empty()) {
    std::fprintf(
        stderr,
        "usage: engine_drafts_bench CONFIG [--case edit|quote|prose|random|trap]... [--streams N] [--repeat N] "
        "[--tokens N] [--layers N] [--threads N] [--tokenizer FOLDER] [--json]\n");
    return 2;
  }
  if (flags.cases.empty()) flags.cases = {"edit", "quote", "prose", "random", "trap"};
  const auto done = run(flags);
  if (!done) std::fprintf(stderr, "engine_drafts_bench: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
