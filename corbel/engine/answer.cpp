#include "corbel/engine/answer.h"

#include <algorithm>

namespace corbel {
namespace {

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

AnswerLogprobs logprobs_of(std::span<const float> logits, std::int32_t chosen, std::int32_t top, Logprobs& logprobs) {
  const Logprobs::Row row = logprobs.of(logits, chosen, top);
  return {row.chosen, row.rank, {row.top.begin(), row.top.end()}};
}

}  // namespace

Answer::Answer(const Tokenizer& tokenizer, const EngineRequest& request, std::uint64_t group, std::uint32_t choice,
               std::int64_t most_tokens)
    : request_(&request), group_(group), sampling_(request.sampling), text_(tokenizer, request.limits) {
  sampling_.choice += choice;
  result_.choice = choice;
  if (request.constraint != nullptr) constraint_ = request.constraint->start();
  if (request.logprobs >= 0) result_.logprobs.reserve(static_cast<std::size_t>(most_tokens));
  sequence.wants_prompt_logits = choice == 0 && request.prompt_logprobs >= 0;
  if (sequence.wants_prompt_logits) result_.prompt_logprobs.resize(request.prompt.size() - 1);
  sequence.priority = request.priority;
  sequence.salt = request.prefix_salt;
  sequence.shares_prefix = request.shares_prefix;
  // Room for all that may come, so that steps allocate nothing.
  const auto room = static_cast<std::size_t>(most_tokens) + 1;
  history_.reserve(room);
  history_ = request.prompt;
  sequence.tokens.reserve(room);
  sequence.tokens = request.prompt;
  result_.ids.reserve(room - std::min(room, request.prompt.size()));
  constexpr std::size_t kBytesPerToken = 8;
  result_.text.reserve(kBytesPerToken * std::min<std::size_t>(result_.ids.capacity(), 4096));
  if (sampling_.has_dry()) dry_.emplace(tokenizer, sampling_, most_tokens);
  if (request.drafts && request.on_full == OnFull::stop) {
    lookup_.emplace(most_tokens);
    sequence.draft.reserve(DraftPolicy::kMostTokens);
  }
  result_.figures.prompt_tokens = std::ssize(request.prompt);
}

void Answer::take_prompt(std::int64_t position, std::span<const float> logits, TokenChooser& chooser) {
  if (position + 1 >= std::ssize(request_->prompt)) return;
  result_.prompt_logprobs[position] =
      logprobs_of(logits, request_->prompt[position + 1], request_->prompt_logprobs, chooser.logprobs);
}

Answer::State Answer::take(std::span<const float> logits, TokenChooser& chooser) {
  std::span<const std::uint64_t> allowed;
  if (constraint_) {
    constraint_->fill_mask(chooser.mask);
    allowed = chooser.mask;
  }
  const std::int32_t id = chooser.sampler.sample({.logits = logits,
                                                  .history = history_,
                                                  .prompt_tokens = std::ssize(request_->prompt),
                                                  .options = sampling_,
                                                  .position = history_.size(),
                                                  .allowed = allowed,
                                                  .repeats = dry_ ? dry_->find(history_) : std::span<const DryRepeat>(),
                                                  .banned_ids = text_.banned_ids()});
  GenerateFigures& figures = result_.figures;
  if (first_token_ == Clock::time_point()) {
    first_token_ = Clock::now();
    figures.first_token_seconds = seconds_between(submitted_, first_token_);
    figures.queue_seconds = seconds_between(submitted_, admitted_);
    figures.prefill_seconds = seconds_between(admitted_, first_token_);
  }
  const State state = add(id);
  const bool told = request_->logprobs >= 0;
  if (told) result_.logprobs.push_back(logprobs_of(logits, id, request_->logprobs, chooser.logprobs));
  if (request_->on_text) {
    request_->on_text(
        {.choice = result_.choice, .text = piece_, .id = id, .logprobs = told ? &result_.logprobs.back() : nullptr});
  }
  return state;
}

/// The token into the sequence, the result and its text (piece_ of it).
Answer::State Answer::add(std::int32_t id) {
  repeats_ = !result_.ids.empty() && id == history_.back() ? repeats_ + 1 : 1;
  constexpr std::int64_t kManyRepeats = 64;
  if (repeats_ == kManyRepeats)
    result_.warnings.push_back(cat("token ", id, " came ", kManyRepeats, " times in a row, from token ",
                                   result_.ids.size() + 1 - kManyRepeats, " of the answer on"));
  history_.push_back(id);
  sequence.tokens.push_back(id);
  result_.ids.push_back(id);
  const AnswerText::State state = text_.push(id, piece_);
  result_.text += piece_;
  if (state == AnswerText::State::stopped) return State::stopped;
  if (constraint_) {
    if (!constraint_->accept(id)) return State::broken;
    if (constraint_->must_end()) return State::stopped;
  }
  return state == AnswerText::State::full ? State::full : State::goes_on;
}

bool Answer::go_on() {
  for (const std::int32_t id : request_->said) {
    if (add(id) != State::goes_on) return false;
  }
  return true;
}

bool Answer::slide() {
  std::vector<std::int32_t>& tokens = sequence.tokens;
  const std::size_t cached = tokens.size() - 1;
  const auto keep = std::min(static_cast<std::size_t>(request_->keep_tokens), cached);
  const std::size_t dropped = std::max<std::size_t>(1, (cached - keep) / 2);
  if (keep + dropped > cached) return false;
  const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(keep);
  tokens.erase(from, from + static_cast<std::ptrdiff_t>(dropped));
  return true;
}

/// No more than the answer may still have: its last token is never run.
std::int64_t Answer::most_drafted() const noexcept {
  const std::int64_t most = request_->limits.max_tokens;
  return most > 0 ? most - std::ssize(result_.ids) - 1 : DraftPolicy::kMostTokens;
}

std::int64_t Answer::draft(const DraftPolicy::Step* step) {
  sequence.draft.clear();
  left_out_ = false;
  if (!lookup_) return 0;
  const DraftLookup::Match match = lookup_->find(history_);
  if (match.length == 0) return 0;
  const std::int64_t most = std::min({DraftPolicy::kMostTokens, std::ssize(history_) - match.next, most_drafted()});
  const std::int64_t worth = step == nullptr ? most : policy_.tokens_worth(match.length, *step);
  left_out_ = worth < most && policy_.is_promising(match.length, worth + 1);
  if (worth == 0) policy_.pass(match.length);
  const std::int64_t tokens = std::min(worth, most);
  if (tokens <= 0) return 0;
  match_length_ = match.length;
  const auto from = history_.begin() + match.next;
  sequence.draft.assign(from, from + tokens);
  return tokens;
}

std::int64_t Answer::guesses_worth(const DraftPolicy::Step* step) {
  if (!lookup_) return 0;
  std::int64_t tokens = DraftPolicy::kMostTokens;
  if (step != nullptr) tokens = guess_policy_.tokens_worth(DraftPolicy::kOfModel, *step);
  if (tokens == 0) guess_policy_.pass(DraftPolicy::kOfModel);
  match_length_ = 0;
  return std::max<std::int64_t>(0, std::min(tokens, most_drafted()));
}

void Answer::learn(std::int64_t drafted, std::int64_t accepted) {
  ++result_.figures.steps;
  sequence.draft.clear();
  if (drafted == 0) return;
  if (match_length_ > 0) return policy_.learn(match_length_, drafted, accepted);
  guess_policy_.learn(DraftPolicy::kOfModel, drafted, accepted);
}

GenerateResult Answer::finish(FinishReason reason) {
  if (const std::string rest = text_.finish(); !rest.empty()) {
    result_.text += rest;
    if (request_->on_text) request_->on_text({.choice = result_.choice, .text = rest});
  }
  result_.finish = reason;
  result_.stop_id = text_.stop_id();
  if (text_.stop_string() != nullptr) result_.stop_string = *text_.stop_string();
  GenerateFigures& figures = result_.figures;
  figures.generated_tokens = std::ssize(result_.ids);
  figures.cached_tokens = sequence.prefix_tokens;
  figures.restarts = sequence.restarts;
  const std::int64_t begun = figures.prompt_tokens + std::ssize(request_->said);
  figures.prefilled_tokens = figures.generated_tokens > 0 ? begun - figures.cached_tokens : 0;
  if (first_token_ != Clock::time_point()) figures.decode_seconds = seconds_between(first_token_, Clock::now());
  return std::move(result_);
}

}  // namespace corbel
