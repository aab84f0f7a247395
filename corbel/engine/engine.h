#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "corbel/engine/constraint.h"
#include "corbel/engine/draft_lookup.h"
#include "corbel/engine/draft_model.h"
#include "corbel/engine/generate.h"
#include "corbel/engine/run_identity.h"
#include "corbel/engine/scheduler.h"

namespace corbel {

/// Text of an answer as it comes.
struct AnswerPiece {
  std::uint32_t choice = 0;
  std::string_view text;                     // whole characters; may be empty: held back, or of a token without text
  std::int32_t id = -1;                      // the token that was chosen; -1: the rest that was held back
  const AnswerLogprobs* logprobs = nullptr;  // of the token, where asked for
};

/// One answer wanted, or several to one prompt.
struct EngineRequest {
  std::vector<std::int32_t> prompt;
  SamplingOptions sampling;
  AnswerLimits limits;
  std::int32_t choices = 1;                // answers to the prompt, which is run once; each draws numbers of its own
  std::shared_ptr<Constraint> constraint;  // what an answer must look like; null: anything
  std::int32_t logprobs = -1;         // so many likeliest tokens beside each chosen one (kMostTopLogprobs); -1: none
  std::int32_t prompt_logprobs = -1;  // the same for the prompt's tokens, with the first choice
  std::int32_t priority = 0;          // higher goes first; waiting 256 steps counts like one level
  std::string prefix_salt;            // prefixes are shared among equal salts
  bool shares_prefix = true;
  /// Tokens that the answer has already, as from a saved state: it goes on behind them as if it had never stopped.
  /// on_text tells what is new, the result has all. One choice; no logprobs.
  std::vector<std::int32_t> said;
  bool drafts = true;             // may guess tokens and run them ahead
  bool fills_context = false;     // max_tokens may be more than the context has room for: then the answer fills it
  OnFull on_full = OnFull::stop;  // when prompt and answer fill the context
  std::int64_t keep_tokens = 0;   // slide: tokens of the beginning that stay
  std::optional<std::chrono::steady_clock::time_point> deadline;  // ends then, with what it has
  std::function<void(const AnswerPiece& piece)> on_text;          // in order; together the texts are result.text
  std::function<void(GenerateResult result)> on_end;              // once for each choice, unless the request fails
  std::function<void(const Error& error)> on_error;               // once, instead of what has not ended yet
};

/// When tokens that were guessed from the text itself run ahead (draft_lookup.h).
enum class Drafts { none, where_they_pay, always };

/// Rows of logits beyond one for each sequence that a runner should have, for tokens that are run ahead.
inline constexpr std::int64_t kDraftLogitRows = 16;

/// A step as it was run, for whoever draws pictures of them.
struct StepReport {
  std::chrono::steady_clock::time_point begin;
  double run_seconds = 0.0;      // on the device
  double deliver_seconds = 0.0;  // choosing tokens, callbacks
  StepPacer::Shape shape;
  std::int64_t running = 0;  // sequences that have a place; the others wait
  std::int64_t waiting = 0;
  std::int64_t free_pages = 0;
};

struct EngineOptions {
  bool prefix_cache = true;
  Drafts drafts = Drafts::where_they_pay;
  DraftModel* draft_model = nullptr;  // guesses where the text itself has no match; null: nobody does
  double stretch = 1.8;               // a step with rows of prompts may take so many times what decoding alone takes
  std::function<void(const StepReport&)> on_step;  // after each
  /// What deadlines and the times of steps go by: tests put a clock of their own here.
  std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
};

struct EngineFigures {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t steps = 0;
  std::int64_t rows = 0;  // of all steps
  std::int64_t preemptions = 0;
  std::int64_t most_running = 0;
  std::int64_t generated_tokens = 0;  // so far, also of answers under way
  std::int64_t pages = 0;             // of the pool
  std::int64_t free_pages = 0;
  std::int64_t drafts = 0;  // that were run
  std::int64_t drafted_tokens = 0;
  std::int64_t accepted_tokens = 0;                            // of those drafted
  std::array<std::int64_t, kDraftLogitRows> accepted_at = {};  // of them, the first of its draft, the second, ...
  std::int64_t failed_steps = 0;                               // run again
  PrefixCache::Counts prefix;
};

class Answer;

/// What all answers of an engine choose their tokens with.
struct TokenChooser {
  explicit TokenChooser(std::int64_t vocab)
      : sampler(vocab),
        logprobs(vocab),
        mask(static_cast<std::size_t>((vocab + 63) / 64)),
        vocab_(static_cast<std::size_t>(vocab)) {}
  Sampler sampler;
  Logprobs logprobs;
  std::vector<std::uint64_t> mask;  // of tokens that a constraint allows
  std::size_t vocab() const noexcept { return vocab_; }

 private:
  std::size_t vocab_;
};

/// Many answers at once on one model: schedule, run, sample, deliver. What an answer says depends on its request alone:
/// not on its company, nor on chunks, preemption, shared prefixes or drafts. One thread; callbacks come from step() and
/// cancel(), and may submit and cancel. The runner and the tokenizer outlive it.
class Engine {
 public:
  Engine(StepRunner& runner, const Tokenizer& tokenizer, const EngineOptions& options = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Queues the request; its number. Refused: options out of range, an empty prompt, ids outside the vocabulary, more
  /// tokens than could ever run, memory that is not there.
  Result<std::uint64_t> submit(EngineRequest request);

  /// Ends what has not ended of the request, as FinishReason::cancelled, with what it has: at once, or at the end of
  /// the step at hand when a callback asks. Unknown numbers are ignored.
  void cancel(std::uint64_t id);
  /// The same for every request that there is, before an engine goes: one that is destroyed tells nobody anything. Not
  /// from a callback; callbacks submit nothing more.
  void cancel_all();

  /// Runs one step; false when there is nothing to run. When the device fails, the sequences of the step run again from
  /// their tokens; when it fails twice in a row, those that ran end with its error. Rows that are not finite end their
  /// own request. A step that `interrupt` stops has not happened.
  bool step(const std::atomic<bool>* interrupt = nullptr);

  /// Writes what is cached of an answer that runs into a file (session_file.h), for load_state() of this or another
  /// process; how many tokens. Changes nothing. Refused: a request that is not there, or of several choices; one of
  /// which nothing is cached, because it waits or has just been preempted.
  Result<std::int64_t> save_state(std::uint64_t id, const std::filesystem::path& path,
                                  const RunIdentity& identity) const;
  /// The same for tokens of sequences that have ended: the longest beginning of them that the prefix cache still has.
  Result<std::int64_t> save_state(std::span<const std::int32_t> tokens, const std::filesystem::path& path,
                                  const RunIdentity& identity, const std::string& salt = {});
  /// Puts a saved sequence into the prefix cache: requests that begin with its tokens run only what is new. Returns how
  /// many tokens. Refused, with nothing changed: what SequenceFile refuses, among it another artifact, profile or
  /// cache; more pages than are free of sequences; an engine without a prefix cache.
  Result<std::int64_t> load_state(const std::filesystem::path& path, const RunIdentity& identity,
                                  const std::string& salt = {});

  EngineFigures figures() const;
  const StepRunner& runner() const noexcept { return *runner_; }
  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }

 private:
  /// The answers to one prompt.
  struct Group {
    EngineRequest request;
    std::vector<std::unique_ptr<Answer>> answers;  // null: ended
    std::size_t left = 0;
  };
  /// Rows of a step's logits, by number: answers may end before their turn comes.
  struct Delivery {
    std::uint64_t sequence = 0;
    std::int64_t first_row = 0;
    std::int64_t rows = 1;
    std::int64_t drafted = 0;
  };
  Result<void> check(const EngineRequest& request) const;
  void propose_drafts();
  void end_overdue();
  void handle_failure(const Error& error);
  bool handle_no_rows();
  void deliver_all(const Scheduler::Step& step, const TensorView& logits);
  void deliver(Answer& answer, const Delivery& delivery, const Rows<const float>& rows);
  bool deliver_prompt(Answer& answer, const Delivery& delivery, const Rows<const float>& rows);
  bool check_row(Answer& answer, std::span<const float> logits);
  bool fork_others(Answer& first, std::span<const float> logits);
  bool is_full(const Sequence& sequence) const;
  bool interrupted() const noexcept { return interrupt_ != nullptr && interrupt_->load(std::memory_order_relaxed); }
  void end(Answer& answer, FinishReason reason);
  void end_group(std::uint64_t id, FinishReason reason);
  void fail_group(std::uint64_t id, const Error& error);

  StepRunner* runner_;
  const Tokenizer* tokenizer_;
  EngineOptions options_;
  Scheduler scheduler_;
  TokenChooser chooser_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Group>> groups_;
  std::unordered_map<std::uint64_t, Answer*> by_sequence_;
  std::vector<Delivery> delivered_;               // scratch of step()
  std::vector<DraftModel::Wanted> guessed_;       // scratch
  std::vector<std::uint64_t> overdue_;            // scratch
  std::vector<std::uint64_t> cancelled_;          // by callbacks of the step at hand
  const std::atomic<bool>* interrupt_ = nullptr;  // of the step at hand
  bool in_step_ = false;
  bool step_failed_ = false;     // the last one
  bool step_was_empty_ = false;  // the last one, though somebody waits
  std::uint64_t next_id_ = 1;    // of requests and of sequences
  EngineFigures counts_;         // what figures() does not ask others for
};

/// A request as generate() takes it from the options: an answer may fill the context.
EngineRequest engine_request(std::vector<std::int32_t> prompt, const GenerateOptions& options,
                             const GenerateObserver& observer = {});

/// Submits the request and runs steps until it has ended; others that the engine has run along. `cancel` may be set by
/// another thread or a signal: the answer ends as cancelled, with what it has. The request's on_end and on_error are
/// not called; a request has one choice.
Result<GenerateResult> generate(Engine& engine, EngineRequest request, const std::atomic<bool>* cancel = nullptr);

}  // namespace corbel
