// soak [--requests N] [--seed S] [--threads T] [--config FILE]: random requests through engines of random shapes; every
// answer is compared with the one of a session that has the model to itself. With --config: the model that the file
// describes, 4-bit weights made from a seed, short requests. Otherwise a tiny checkpoint, a third of the requests
// longer than two chunks of attention, pools so small that they lose their pages.
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "corbel/base/thread_pool.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/engine.h"
#include "corbel/format/seeded_source.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"
#include "tests/engine/byte_tokenizer.h"

namespace corbel {
namespace {

struct SoakFlags {
  std::int64_t requests = 10000;
  std::uint32_t seed = 1;
  std::int64_t threads = 2;
  std::string config;
};

struct Expected {
  std::vector<std::int32_t> ids;
  std::string text;
  FinishReason finish = FinishReason::stop;
};

/// A request and what it is answered.
struct SoakCase {
  std::vector<std::int32_t> prompt;
  GenerateOptions options;
  Expected expected;
};

/// What kind of requests and engines there are.
struct Range {
  std::int64_t cases = 600;      // different ones; each is used several times
  std::int64_t long_share = 65;  // of a hundred
  std::int64_t long_tokens = 2060;
  std::int64_t long_answer = 230;
  std::int64_t short_tokens = 200;
  std::int64_t short_answer = 60;
  std::int64_t context = 2432;
  std::int64_t most_sequences = 16;
  // Pages beyond those of one sequence: two long requests begin side by side, and only one of them can grow.
  std::int64_t least_spare_pages = 32;
  std::int64_t more_spare_pages = 4;
  std::int64_t steps_per_cancel = 400;
};

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::int64_t total = 0;
  std::int64_t resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class Soak {
 public:
  Soak(const TextModel& model, Device& device, const SoakFlags& flags, const Range& range)
      : model_(model), device_(device), flags_(flags), range_(range), random_(flags.seed) {}

  bool run();

 private:
  std::int64_t below(std::int64_t end) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(end));
  }
  void make_cases();
  void answer_alone();
  void run_engine(std::int64_t requests);
  void submit(Engine& engine);
  void compare(const SoakCase& one, const GenerateResult& result);
  void show(const char* what, std::int64_t done, std::int64_t all);

  const TextModel& model_;
  Device& device_;
  SoakFlags flags_;
  Range range_;
  std::mt19937_64 random_;
  Tokenizer tokenizer_ = make_byte_tokenizer();
  std::vector<SoakCase> cases_;
  std::vector<std::uint64_t> in_flight_;
  std::int64_t ended_ = 0;
  std::int64_t cancelled_ = 0;
  std::int64_t different_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t crossed_ = 0;  // long ones that lost their pages at least once
  std::int64_t leaked_pages_ = 0;
  EngineFigures sums_;
  std::vector<std::int64_t> resident_;  // after each engine
  double begun_ = 0.0;
  double shown_ = 0.0;
};

void Soak::make_cases() {
  std::vector<std::vector<std::int32_t>> beginnings(8);  // many requests begin alike
  for (auto& beginning : beginnings) {
    while (std::ssize(beginning) < range_.long_tokens)
      beginning.push_back(static_cast<std::int32_t>(below(model_.info().vocab)));
  }
  for (std::int64_t i = 0; i < range_.cases; ++i) {
    SoakCase one;
    const bool is_long = below(100) < range_.long_share;
    const std::int64_t tokens = is_long ? range_.long_tokens : 1 + below(range_.short_tokens);
    const auto& beginning = beginnings[below(std::ssize(beginnings))];
    one.prompt.assign(beginning.begin(), beginning.begin() + below(tokens + 1));
    while (std::ssize(one.prompt) < tokens) one.prompt.push_back(static_cast<std::int32_t>(below(model_.info().vocab)));
    SamplingOptions& sampling = one.options.sampling;
    sampling.seed = random_();
    if (below(3) > 0) sampling.temperature = 1.2;
    if (below(3) == 0) sampling.top_p = 0.9;
    if (below(3) == 0) sampling.repetition_penalty = below(2) == 0 ? 0.3 : 1.2;
    one.options.max_tokens = 1 + below(is_long ? range_.long_answer : range_.short_answer);
    if (is_long) one.options.max_tokens = 64 + range_.long_answer;
    if (!is_long && below(4) == 0) one.options.stop_strings = {"ab", "Q"};
    cases_.push_back(std::move(one));
  }
}

void Soak::answer_alone() {
  auto runner = StepRunner::make(model_, device_, {.step_rows = 512, .context_tokens = range_.context});
  CORBEL_CHECK(runner.has_value(), runner.error().message);
  auto session = Session::make(*runner);
  begun_ = seconds_now();
  for (std::size_t i = 0; i < cases_.size(); ++i) {
    session->rewind(0);
    auto result = generate(*session, tokenizer_, cases_[i].prompt, cases_[i].options);
    CORBEL_CHECK(result.has_value(), result.error().message);
    cases_[i].expected = {std::move(result->ids), std::move(result->text), result->finish};
    show("alone", static_cast<std::int64_t>(i) + 1, std::ssize(cases_));
  }
}

void Soak::compare(const SoakCase& one, const GenerateResult& result) {
  ++ended_;
  const Expected& expected = one.expected;
  bool same = true;
  if (result.finish == FinishReason::cancelled) {
    ++cancelled_;
    same = result.ids.size() <= expected.ids.size() &&
           std::equal(result.ids.begin(), result.ids.end(), expected.ids.begin());
  } else {
    same = result.ids == expected.ids && result.text == expected.text && result.finish == expected.finish;
  }
  different_ += same ? 0 : 1;
  const bool is_long = std::ssize(one.prompt) + std::ssize(result.ids) > 2048;
  crossed_ += is_long && result.figures.restarts > 0 ? 1 : 0;
}

void Soak::submit(Engine& engine) {
  const SoakCase& one = cases_[below(std::ssize(cases_))];
  EngineRequest request = engine_request(one.prompt, one.options);
  request.priority = static_cast<std::int32_t>(below(4));
  request.shares_prefix = below(8) > 0;
  if (below(8) == 0) request.prefix_salt = "tenant";
  request.on_end = [this, &one](const GenerateResult& result) { compare(one, result); };
  request.on_error = [this](const Error& error) {
    ++ended_;
    ++failed_;
    std::fprintf(stderr, "failed: %s\n", error.message.c_str());
  };
  const auto id = engine.submit(std::move(request));
  CORBEL_CHECK(id.has_value(), id.error().message);
  in_flight_.push_back(*id);
}

void Soak::run_engine(std::int64_t requests) {
  RunnerLimits limits;
  limits.sequences = 2 + below(range_.most_sequences);
  const std::int64_t rows[] = {7, 64, 200, 512};
  limits.step_rows = std::max(rows[below(4)], limits.sequences);
  limits.logit_rows = limits.sequences + below(20);
  limits.context_tokens = range_.context;
  const std::int64_t longest = range_.long_share > 0 ? range_.long_tokens + range_.long_answer + 64 : range_.context;
  limits.pages = pages_of_tokens(longest) + range_.least_spare_pages + below(range_.more_spare_pages);
  auto runner = StepRunner::make(model_, device_, limits);
  CORBEL_CHECK(runner.has_value(), runner.error().message);
  const Drafts drafts[] = {Drafts::none, Drafts::where_they_pay, Drafts::always};
  Engine engine(*runner, tokenizer_,
                {.prefix_cache = below(4) > 0,
                 .drafts = drafts[below(3)],
                 .stretch = below(2) == 0 ? 1.5 : std::numeric_limits<double>::infinity()});
  in_flight_.clear();
  const std::int64_t until = ended_ + requests;
  std::int64_t submitted = 0;
  std::int64_t wanted = 8;
  while (ended_ < until) {
    if (below(50) == 0) wanted = 1 + below(32);
    while (submitted < requests && ended_ + wanted > until - requests + submitted) {
      submit(engine);
      ++submitted;
    }
    if (below(range_.steps_per_cancel) == 0) engine.cancel(in_flight_[below(std::ssize(in_flight_))]);
    engine.step();
    show("together", ended_, flags_.requests);
  }
  const EngineFigures figures = engine.figures();
  leaked_pages_ += figures.pages - figures.free_pages - figures.prefix.pages;
  leaked_pages_ += figures.running + figures.waiting;
  sums_.steps += figures.steps;
  sums_.rows += figures.rows;
  sums_.preemptions += figures.preemptions;
  sums_.drafted_tokens += figures.drafted_tokens;
  sums_.accepted_tokens += figures.accepted_tokens;
  sums_.prefix.hit_tokens += figures.prefix.hit_tokens;
}

void Soak::show(const char* what, std::int64_t done, std::int64_t all) {
  const double now = seconds_now();
  if (!isatty(2) || now < shown_ + 0.5) return;
  shown_ = now;
  const double rate = static_cast<double>(done) / std::max(now - begun_, 1e-3);
  std::fprintf(stderr, "\r\x1b[K%s: %lld of %lld, %.1f/s, %.0f s left", what, static_cast<long long>(done),
               static_cast<long long>(all), rate, static_cast<double>(all - done) / std::max(rate, 1e-9));
}

bool Soak::run() {
  make_cases();
  answer_alone();
  begun_ = seconds_now();
  while (ended_ < flags_.requests) {
    run_engine(std::min<std::int64_t>(flags_.requests - ended_, std::max<std::int64_t>(flags_.requests / 20, 20)));
    resident_.push_back(resident_bytes());
  }
  // The first quarter may still fill caches of the allocator.
  const auto quarter = resident_.begin() + std::ssize(resident_) / 4;
  const double first = static_cast<double>(*std::max_element(quarter, quarter + (resident_.end() - quarter + 1) / 2));
  const double last = static_cast<double>(resident_.back());
  const bool flat = last < 1.05 * first + 4e6;
  const auto percent = [&](std::int64_t part) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(ended_);
  };
  std::printf(
      "%s%lld requests in %.0f s: %lld differ, %lld failed, %lld pages leaked, %lld cancelled\n"
      "  beyond two chunks of attention and run again after losing their pages: %lld (%.1f%%)\n"
      "  %lld steps of %lld rows, %lld preemptions, %lld tokens from shared prefixes, %lld of %lld drafted tokens "
      "right\n"
      "  memory after a quarter %.1f MB, at the end %.1f MB: %s\n",
      isatty(2) ? "\n" : "", static_cast<long long>(ended_), seconds_now() - begun_, static_cast<long long>(different_),
      static_cast<long long>(failed_), static_cast<long long>(leaked_pages_), static_cast<long long>(cancelled_),
      static_cast<long long>(crossed_), percent(crossed_), static_cast<long long>(sums_.steps),
      static_cast<long long>(sums_.rows), static_cast<long long>(sums_.preemptions),
      static_cast<long long>(sums_.prefix.hit_tokens), static_cast<long long>(sums_.accepted_tokens),
      static_cast<long long>(sums_.drafted_tokens), first / 1e6, last / 1e6, flat ? "flat" : "it grows");
  // Which ones lose their pages depends on times: a share of few requests says little.
  constexpr std::int64_t kManyRequests = 1000;
  const double least = range_.long_share == 0 ? 0.0 : flags_.requests >= kManyRequests ? 20.0 : 1.0;
  const bool crossed_enough = percent(crossed_) >= least;
  if (!crossed_enough) std::printf("  fewer than %.0f%% of the requests were long and lost their pages\n", least);
  return different_ == 0 && failed_ == 0 && leaked_pages_ == 0 && flat && crossed_enough;
}

Result<std::unique_ptr<TextModel>> open_model(const SoakFlags& flags, Device& device) {
  const auto families = linked_model_families();
  CORBEL_ASSIGN(const Json config, read_json_file(flags.config));
  CORBEL_ASSIGN(const WeightFormat* const matrices, find_weight_format("w4g16"));
  CORBEL_ASSIGN(const WeightFormat* const tables, find_weight_format("w6g8"));
  auto source =
      std::make_shared<SeededSource>(1, DType::bf16, std::vector<std::string>(), SeededFormats{matrices, tables});
  return make_text_model(config, flags.config, std::move(source), device, families, {});
}

Result<SoakFlags> read_flags(int count, char** arguments) {
  SoakFlags flags;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    if (++i >= count) return fail(Code::bad_request, cat(name, " needs a value"));
    const std::string_view text = arguments[i];
    std::int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    if (name == "--config") {
      flags.config = text;
    } else if (number < 1) {
      return fail(Code::bad_request, cat(name, " is ", text, "; it must be 1 or more"));
    } else if (name == "--requests") {
      flags.requests = number;
    } else if (name == "--seed") {
      flags.seed = static_cast<std::uint32_t>(number);
    } else if (name == "--threads") {
      flags.threads = number;
    } else {
      return fail(Code::bad_request, cat(name, " is not known: --requests --seed --threads --config"));
    }
  }
  return flags;
}

Result<bool> soak(const SoakFlags& flags) {
  CORBEL_ASSIGN(const std::unique_ptr<ThreadPool> pool, ThreadPool::make(static_cast<int>(flags.threads)));
  CORBEL_ASSIGN(const std::unique_ptr<Device> device, linked_devices().front().make({}, *pool));
  Range range;
  if (!flags.config.empty()) {
    range = {.cases = std::max<std::int64_t>(flags.requests / 4, 1),
             .long_share = 0,
             .short_tokens = 90,
             .short_answer = 24,
             .context = 256,
             .least_spare_pages = 0,
             .more_spare_pages = 20,
             .steps_per_cancel = 60};
    CORBEL_ASSIGN(const std::unique_ptr<TextModel> model, open_model(flags, *device));
    return Soak(*model, *device, flags, range).run();
  }
  range.cases = std::min<std::int64_t>(range.cases, std::max<std::int64_t>(flags.requests / 4, 40));
  const auto folder = std::filesystem::path(CORBEL_SOURCE_DIR) / "models/llama/goldens/mha_f32";
  CORBEL_ASSIGN(const LoadedModel loaded, load_text_model(folder, *device, linked_model_families()));
  return Soak(*loaded.model, *device, flags, range).run();
}

}  // namespace
}  // namespace corbel

int main(int count, char** arguments) {
  const auto flags = corbel::read_flags(count, arguments);
  if (!flags) {
    std::fprintf(stderr, "soak: %s\n", flags.error().message.c_str());
    return 2;
  }
  const auto passed = corbel::soak(*flags);
  if (!passed) std::fprintf(stderr, "soak: %s\n", passed.error().message.c_str());
  return passed && *passed ? 0 : 1;
}
