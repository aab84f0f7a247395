#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/load_plan.h"
#include "apps/load_report.h"
#include "apps/number_text.h"
#include "apps/terminal.h"

namespace corbel::app {

int run_bench_serve(const std::vector<std::string>& arguments);

namespace {

struct BenchServeFlags {
  std::vector<std::string> urls;
  std::string model, key, endpoint = "chat", prompt = "100", answer = "64", slo;
  std::optional<double> rate, timeout;
  std::optional<std::int64_t> concurrency, requests, seed;
  bool whole = false, stream = false, json = false;
  LoadSettings settings;  // what they say
  ServiceLevel level;
};

constexpr std::int64_t kMostAtOnce = 4096;

/// The flags that have one number, put into the settings; what is wrong with them otherwise.
Result<void> read_flags(BenchServeFlags& flags) {
  const auto refuse = [](std::string text) { return fail(Code::bad_request, std::move(text)); };
  if (flags.urls.size() != 1) return refuse("one URL is needed: corbel bench serve http://127.0.0.1:8000");
  if (flags.rate && !(*flags.rate > 0.0 && *flags.rate <= 1e5)) return refuse("--rate must be above 0, at most 100000");
  if (flags.timeout && !(*flags.timeout > 0.0)) return refuse("--timeout must be above 0 seconds");
  if (const auto n = flags.concurrency.value_or(1); n < 1 || n > kMostAtOnce)
    return refuse(cat("--concurrency is ", n, "; it must be 1 to ", kMostAtOnce));
  if (const auto n = flags.requests.value_or(1); n < 1 || n > 1000000)
    return refuse(cat("--requests is ", n, "; it must be 1 to 1000000"));
  if (flags.whole && flags.stream) return refuse("--whole and --stream exclude each other");
  LoadSettings& settings = flags.settings;
  CORBEL_ASSIGN(settings.prompt, TokenCounts::read("prompt-tokens", flags.prompt));
  CORBEL_ASSIGN(settings.answer, TokenCounts::read("answer-tokens", flags.answer));
  CORBEL_ASSIGN(flags.level, ServiceLevel::read(flags.slo));
  settings.requests = flags.requests.value_or(100);
  settings.rate = flags.rate.value_or(0.0);
  settings.seed = static_cast<std::uint64_t>(flags.seed.value_or(1));
  settings.chat = flags.endpoint == "chat";
  settings.streams = !flags.whole;
  settings.model = flags.model;
  return {};
}

/// One line that is written over, where errors go to a terminal.
class Progress {
 public:
  explicit Progress(std::int64_t requests) : requests_(requests), shown_(errors_are_terminal()) {}
  void take(const LoadOutcome& outcome) {
    ++ended_;
    if (!outcome.failure.empty()) ++failed_;
    using std::chrono::steady_clock;
    const auto now = steady_clock::now();
    if (!shown_ || (now - last_ < std::chrono::milliseconds(100) && ended_ < requests_)) return;
    last_ = now;
    print_error_text(cat("\r\033[K", ended_, " of ", requests_, " requests, ", failed_, " failed"));
  }
  void finish() const {
    if (shown_) print_error_text("\r\033[K");
  }

 private:
  std::int64_t requests_, ended_ = 0, failed_ = 0;
  bool shown_;
  std::chrono::steady_clock::time_point last_;
};

Json settings_json(const BenchServeFlags& flags, const LoadSubject& subject, std::int64_t at_once) {
  return {{"url", flags.urls.front()},
          {"model", subject.model},
          {"endpoint", flags.endpoint},
          {"streams", flags.settings.streams},
          {"rate", flags.settings.rate},
          {"concurrency", at_once},
          {"prompt", flags.prompt},
          {"answer", flags.answer},
          {"seed", flags.settings.seed},
          {"exact_prompts", subject.counts_tokens},
          {"ignores_eos", subject.ignores_eos}};
}

Result<int> bench_serve(const BenchServeFlags& flags) {
  CORBEL_ASSIGN(const LoadTarget target, read_load_target(flags.urls.front(), flags.key));
  const double timeout = flags.timeout.value_or(300.0);
  CORBEL_ASSIGN(const LoadSubject subject, examine_subject(target, flags.settings, timeout));
  Progress progress(flags.settings.requests);
  LoadRun run{.path = flags.settings.chat ? "/v1/chat/completions" : "/v1/completions",
              .at_once = flags.concurrency.value_or(flags.rate ? kMostAtOnce : 1),
              .streams = flags.settings.streams,
              .timeout_seconds = timeout,
              .on_end = [&progress](const LoadOutcome& outcome) { progress.take(outcome); }};
  CORBEL_ASSIGN(run.requests, make_load(target, flags.settings, subject));
  const LoadResult result = run_load(target, run, [] { return interrupted().load(); });
  progress.finish();
  const LoadReport report(result, flags.level, flags.settings.streams);
  if (flags.json) {
    Json json = report.json();
    json["load"] = settings_json(flags, subject, run.at_once);
    print(json.dump(2) + "\n");
  } else {
    const std::string load = flags.rate ? format("%g requests/s", *flags.rate) : cat(run.at_once, " at once");
    print(cat(subject.model, " at ", flags.urls.front(), ": ", load, ", prompts ", flags.prompt,
              subject.counts_tokens ? " tokens" : " words", ", answers ", flags.answer,
              subject.ignores_eos ? " tokens" : " tokens at most", "\n\n", report.text()));
  }
  if (interrupted()) return kInterrupted;
  return report.succeeded > 0 ? kOk : kFailed;
}

}  // namespace

int run_bench_serve(const std::vector<std::string>& arguments) {
  BenchServeFlags flags;
  CommandLine line("bench serve", "put load on a server that speaks OpenAI's API, and measure its answers");
  line.positionals("url", flags.urls, "http://HOST:PORT, with or without /v1");
  line.text("model", flags.model, "as requests name it (default: the first of /v1/models)");
  line.text("key", flags.key, "API key");
  line.integer("concurrency", flags.concurrency, "requests under way (default 1; with --rate the most of them)");
  line.number("rate", flags.rate, "requests a second instead, at random distances (Poisson)");
  line.integer("requests", flags.requests, "how many (default 100)");
  line.text("prompt-tokens", flags.prompt, "100, uniform:50-200 or normal:100,20 (default 100)");
  line.text("answer-tokens", flags.answer, "the same of answers (default 64)");
  line.choice("endpoint", flags.endpoint, {"chat", "completions"}, "chat completions or completions (default chat)");
  line.toggle("stream", flags.stream, "answers in pieces (default)");
  line.toggle("whole", flags.whole, "answers in one piece: no times of tokens");
  line.text("slo", flags.slo, "what counts as good: ttft=200ms,tpot=50ms,e2e=10s");
  line.number("timeout", flags.timeout, "seconds that an answer may take (default 300)");
  line.integer("seed", flags.seed, "of words, lengths and distances (default 1)");
  line.toggle("json", flags.json, "for machines");
  line.example("corbel bench serve http://127.0.0.1:8000 --concurrency 16 --requests 64 --slo ttft=500ms");
  if (const auto code = line.parse(arguments)) return *code;
  if (const auto read = read_flags(flags); !read) {
    print_error(read.error().message);
    return kWrongUsage;
  }
  catch_interrupts();
  const auto done = bench_serve(flags);
  return done ? *done : report(done.error());
}

}  // namespace corbel::app
