#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "apps/batch_output.h"
#include "apps/command.h"
#include "apps/draft_setup.h"
#include "apps/model_setup.h"
#include "apps/number_text.h"
#include "apps/step_trace.h"
#include "apps/terminal.h"
#include "corbel/base/checksum.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/chat/answer_receipt.h"
#include "corbel/chat/completion_json.h"

namespace corbel::app {
namespace {

constexpr std::int64_t kMostFileBytes = std::int64_t{4} << 30;
constexpr std::int64_t kMostConcurrency = 1024;

struct BatchFlags {
  std::vector<std::string> files;
  std::string output;
  std::string quant;
  std::optional<std::int64_t> concurrency, context;
  std::string trace;
  DraftFlags draft;
  DeviceChoice device;
};

struct BatchLine {
  std::string custom_id;
  Json body;
};

Failure bad_line(const std::string& file, std::size_t number, std::string_view what) {
  return fail(Code::bad_file, cat(file, ": line ", number, ": ", what));
}

/// All lines, checked before anything runs: a mistake in the last line should not show after hours.
Result<std::vector<BatchLine>> read_lines(const std::string& file) {
  CORBEL_ASSIGN(const std::string text, read_text_file(file, kMostFileBytes));
  std::vector<BatchLine> lines;
  std::unordered_map<std::string, std::size_t> line_of;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = cat(file, ": line ", number);
    CORBEL_ASSIGN(Json json, parse_json(one, place));
    const JsonFields fields(json, place);
    BatchLine line;
    for (auto it = json.begin(); json.is_object() && it != json.end(); ++it) {
      constexpr std::array<std::string_view, 4> kFields = {"custom_id", "method", "url", "body"};
      if (std::find(kFields.begin(), kFields.end(), it.key()) == kFields.end())
        return bad_line(file, number,
                        cat(quote(it.key()), " is not known; a line has custom_id, method, url and body"));
    }
    CORBEL_ASSIGN(line.custom_id, fields.require_string("custom_id"));
    CORBEL_ASSIGN(const std::string method, fields.get_string("method", "POST"));
    CORBEL_ASSIGN(const std::string url, fields.get_string("url", "/v1/chat/completions"));
    if (method != "POST" || url != "/v1/chat/completions")
      return bad_line(file, number,
                      cat("only POST to /v1/chat/completions is known, not ", clip(method), " to ", clip(url)));
    CORBEL_ASSIGN(const JsonFields body, fields.object("body"));
    line.body = body.json();
    if (const auto [same, is_new] = line_of.try_emplace(line.custom_id, number); !is_new)
      return bad_line(file, number,
                      cat("custom_id ", quote(line.custom_id), " stands in line ", same->second, " already"));
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return fail(Code::bad_file, cat(file, " has no requests"));
  return lines;
}

/// What belongs to the answers: another model or file does not go on where this one stopped.
Checksum run_key(const std::vector<BatchLine>& lines, const ReceiptIssuer& receipts, const std::string& name) {
  RunningChecksum sum;
  const auto add = [&sum](std::string_view text) { sum.add(std::as_bytes(std::span(text))); };
  const RunIdentity& run = receipts.run;
  for (const std::string& part :
       {run.model_hash, run.profile, run.strategy, run.kv_cache, receipts.corbel, receipts.model, name})
    add(part + "\n");
  add(cat(receipts.context_tokens, "\n"));
  for (const BatchLine& line : lines) {
    add(line.custom_id);
    add(line.body.dump());
  }
  return sum.value();
}

std::string record_of(const std::string& custom_id, int status, Json body) {
  const std::string id = to_string(checksum_of(custom_id)).substr(0, 24);
  const Json record = {
      {"id", cat("batch_req_", id)},
      {"custom_id", custom_id},
      {"response", {{"status_code", status}, {"request_id", cat("req_", id)}, {"body", std::move(body)}}},
      {"error", nullptr}};
  return record.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

/// What answers the requests.
struct BatchModel {
  std::unique_ptr<OpenRunner> open;
  std::unique_ptr<ChatModel> chat;
  ReceiptIssuer receipts;
};

Result<BatchModel> open_batch_model(const BatchFlags& flags, const std::string& model) {
  BatchModel batch;
  CORBEL_ASSIGN(batch.open,
                open_runner({model, flags.quant}, flags.device, flags.context, flags.concurrency.value_or(16)));
  const OpenModel& open = *batch.open->model;
  CORBEL_ASSIGN(batch.chat, ChatModel::load(open.loaded.package->files(), *open.tokenizer, open.loaded.defaults));
  CORBEL_ASSIGN(batch.receipts.run, identify_run(*open.loaded.package, *batch.open->runner));
  batch.receipts.corbel = CORBEL_VERSION;
  batch.receipts.model = open.loaded.package->description();
  batch.receipts.context_tokens = batch.open->runner->limits().context_tokens;
  return batch;
}

/// The file's requests through the engine, so many at once.
class Batch {
 public:
  Batch(BatchModel& model, const std::vector<BatchLine>& lines, BatchOutput& output, const EngineOptions& engine)
      : open_(*model.open),
        chat_(*model.chat),
        receipts_(model.receipts),
        lines_(lines),
        output_(output),
        engine_(*open_.runner, *open_.model->tokenizer, engine),
        next_(output.done()),
        begun_at_(output.done()) {}

  Result<void> run() {
    const std::int64_t most = open_.runner->limits().sequences;
    while (true) {
      while (next_ < std::ssize(lines_) && in_flight_ < most) {
        submit(next_++);
        CORBEL_TRY(written_);
      }
      if (!engine_.step()) break;
      CORBEL_TRY(written_);
      if (interrupted()) return fail(Code::cancelled, "interrupted");
      show();
    }
    return {};
  }
  std::string summary() const {
    const double seconds = passed();
    return cat(std::ssize(lines_) - begun_at_, " requests (", failed_, " failed), ", prompt_tokens_, " prompt tokens (",
               cached_tokens_, " from shared prefixes), ", tokens_, " generated in ", format("%.1f", seconds),
               " s: ", format("%.1f", static_cast<double>(tokens_) / std::max(seconds, 1e-3)), " tok/s\n");
  }

 private:
  /// A request under way, and the choices that have ended.
  struct Asked {
    ChatCompletion completion;
    std::vector<GenerateResult> results;
    std::int64_t ended = 0;
  };

  CompletionHead head_of(std::int64_t index) const {
    return {.id = cat("chatcmpl-", to_string(checksum_of(lines_[index].custom_id)).substr(0, 24)),
            .fingerprint = open_.device.device->info().profile(),
            .tells_cached = false,
            .receipts = &receipts_};
  }
  double passed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  void put(std::int64_t index, int status, Json body) {
    if (status != 200) ++failed_;
    auto put = output_.put(index, record_of(lines_[index].custom_id, status, std::move(body)));
    if (!put) written_ = std::move(put);
  }

  void submit(std::int64_t index) {
    const BatchLine& line = lines_[index];
    // Of the request alone, so that its place in the file and its company do not matter.
    std::uint64_t seed = 0;
    const Checksum sum = checksum_of(line.custom_id);
    std::memcpy(&seed, sum.bytes.data(), sizeof seed);
    auto parsed = read_chat_completion(line.body, chat_, seed >> 11);
    if (parsed && parsed->wants_stream)
      parsed = fail(Code::bad_request, "\"stream\" is true; a batch gives whole answers");
    if (!parsed) return put(index, 400, chat_error_json(parsed.error()));
    const auto asked = std::make_shared<Asked>();
    asked->completion = *std::move(parsed);
    if (asked->completion.model.empty()) asked->completion.model = open_.model->loaded.package->name();
    EngineRequest request = asked->completion.request;
    asked->results.resize(static_cast<std::size_t>(request.choices));
    request.on_end = [this, index, asked](GenerateResult result) {
      tokens_ += result.figures.generated_tokens;
      if (result.choice == 0) {
        prompt_tokens_ += result.figures.prompt_tokens;
        cached_tokens_ += result.figures.cached_tokens;
      }
      const std::uint32_t choice = result.choice;
      asked->results[choice] = std::move(result);
      if (++asked->ended < std::ssize(asked->results)) return;
      --in_flight_;
      put(index, 200, chat_completion_json(asked->completion, chat_, asked->results, head_of(index)));
    };
    request.on_error = [this, index](const Error& error) {
      --in_flight_;
      put(index, 500, chat_error_json(error));
    };
    const auto submitted = engine_.submit(std::move(request));
    if (!submitted) return put(index, 400, chat_error_json(submitted.error()));
    ++in_flight_;
  }

  void show() {
    if (!errors_are_terminal() || passed() < shown_at_ + 0.2) return;
    shown_at_ = passed();
    const std::int64_t done = output_.done();
    const double per_second = static_cast<double>(done - begun_at_) / shown_at_;
    const double left = static_cast<double>(std::ssize(lines_) - done) / std::max(per_second, 1e-9);
    print_error_text(cat("\r\x1b[K", done, " of ", lines_.size(), "  ",
                         format("%.1f", static_cast<double>(engine_.figures().rows) / shown_at_), " rows/s  ",
                         engine_.figures().running, " running",
                         done > begun_at_ ? cat("  ", duration_text(left), " left") : ""));
    if (done == std::ssize(lines_)) print_error_text("\r\x1b[K");
  }

  OpenRunner& open_;
  const ChatModel& chat_;
  const ReceiptIssuer& receipts_;
  const std::vector<BatchLine>& lines_;
  BatchOutput& output_;
  Engine engine_;
  std::int64_t next_;
  std::int64_t begun_at_;
  std::int64_t in_flight_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t prompt_tokens_ = 0;
  std::int64_t cached_tokens_ = 0;
  double shown_at_ = 0.0;
  Result<void> written_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

Result<std::string> run_file(const BatchFlags& flags, const std::string& model, const std::string& file) {
  CORBEL_TRY(check_batch_target(flags.output, file));
  CORBEL_ASSIGN(const std::vector<BatchLine> lines, read_lines(file));
  CORBEL_ASSIGN(BatchModel batch_model, open_batch_model(flags, model));
  OpenRunner* const open = batch_model.open.get();
  const std::string name = open->model->loaded.package->name();
  CORBEL_ASSIGN(
      BatchOutput output,
      BatchOutput::open(flags.output, to_string(run_key(lines, batch_model.receipts, name)), std::ssize(lines)));
  std::string text;
  if (output.starts_over())
    print_error_text(
        "the answers of an earlier run belong to other requests, another model or another version of it, "
        "or other settings: starting over\n");
  if (output.done() > 0) text = cat("went on after ", output.done(), " answers of an earlier run\n");
  CORBEL_ASSIGN(const std::unique_ptr<OpenDraft> draft, open_draft(flags.draft, flags.device, *open));
  EngineOptions engine = engine_options(flags.draft, draft.get());
  engine.stretch = std::numeric_limits<double>::infinity();  // nobody waits for single tokens
  std::unique_ptr<StepTrace> trace;
  if (!flags.trace.empty()) {
    CORBEL_ASSIGN(trace, StepTrace::open(flags.trace));
    engine.on_step = [&trace](const StepReport& report) { trace->add(report); };
  }
  Batch batch(batch_model, lines, output, engine);
  CORBEL_TRY(batch.run());
  CORBEL_TRY(output.finish());
  if (trace != nullptr) CORBEL_TRY(trace->finish());
  return text + batch.summary();
}

}  // namespace

int run_batch(const std::vector<std::string>& arguments) {
  BatchFlags flags;
  CommandLine line(
      "batch",
      "Answers a file of chat completions, many at once: OpenAI's batch format, a line each. The answers do not "
      "depend on how many run at once. A run that was cut off goes on where it stopped.");
  line.positionals("model file", flags.files, "the model (left out: built in), then the file of requests");
  line.text("-o,--output", flags.output, "where the answers go, in the order of the requests");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.integer("--concurrency", flags.concurrency, "requests at once (default 16)");
  line.integer("--context", flags.context, "most tokens of a prompt and its answer together");
  line.text("--trace", flags.trace, "write the engine's steps there, for a timeline viewer");
  flags.draft.add_flags(line);
  flags.device.add_flags(line);
  line.example("corbel batch ~/models/Qwen3-0.6B requests.jsonl -o answers.jsonl --quant w4");
  if (const auto code = line.parse(arguments)) return *code;
  const auto usage = [](std::string_view message) {
    print_error(message);
    return kWrongUsage;
  };
  if (flags.files.empty() || flags.files.size() > 2)
    return usage("batch takes a model and a file of requests, or the file alone");
  if (flags.output.empty()) return usage("--output FILE is missing");
  if (flags.output == "-")
    return usage("--output is -; answers go to a file, from which a run that is cut off goes on");
  if (const std::int64_t wanted = flags.concurrency.value_or(1); wanted < 1 || wanted > kMostConcurrency)
    return usage(cat("--concurrency is ", wanted, "; it must be 1 to ", kMostConcurrency));
  if (flags.context && *flags.context < 1) return usage(cat("--context is ", *flags.context, "; it must be 1 or more"));
  if (const auto valid = flags.device.validate(); !valid) return usage(valid.error().message);
  catch_interrupts();
  const bool has_model = flags.files.size() == 2;
  const auto done = run_file(flags, has_model ? flags.files[0] : "", flags.files.back());
  if (!done && done.error().code == Code::cancelled) {
    print_error("interrupted; the same command goes on from here");
    return kInterrupted;
  }
  if (!done) return report(done.error());
  print_error_text(*done);
  return kOk;
}

}  // namespace corbel::app
