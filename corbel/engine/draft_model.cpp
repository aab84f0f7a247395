#include "corbel/engine/draft_model.h"

#include <algorithm>
#include <chrono>

#include "corbel/engine/page_pool.h"
#include "corbel/engine/sampler.h"

namespace corbel {

Result<DraftModel> DraftModel::make(const TextModel& model, Device& device, std::int64_t sequences,
                                    std::int64_t context_tokens) {
  constexpr std::int64_t kRows = 512;
  CORBEL_ASSIGN(StepRunner runner, StepRunner::make(model, device,
                                                    {.step_rows = std::max(std::min(kRows, context_tokens), sequences),
                                                     .logit_rows = sequences,
                                                     .sequences = sequences,
                                                     .context_tokens = context_tokens}));
  return DraftModel(std::make_unique<StepRunner>(std::move(runner)));
}

DraftModel::DraftModel(std::unique_ptr<StepRunner> runner) : runner_(std::move(runner)) {
  const RunnerLimits& limits = runner_->limits();
  plan_.sequences = static_cast<std::int32_t>(limits.sequences);
  plan_.max_pages = static_cast<std::int32_t>(pages_of_tokens(limits.context_tokens));
  // Every slot has all its pages, for good.
  std::vector<std::int32_t> pages(static_cast<std::size_t>(limits.sequences * plan_.max_pages));
  for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
  plan_.page_tables.assign(runner_->model().info().cache.groups.size(), pages);
  plan_.tokens.reserve(static_cast<std::size_t>(limits.step_rows));
  cached_.resize(static_cast<std::size_t>(limits.sequences));
  for (auto& tokens : cached_) tokens.reserve(static_cast<std::size_t>(limits.context_tokens));
  running_.reserve(cached_.size());
}

void DraftModel::take(const Wanted& one, const float* logits) {
  const auto vocab = static_cast<std::size_t>(runner_->model().info().vocab);
  if (all_finite({logits, vocab})) one.draft->push_back(argmax({logits, vocab}));
}

/// Runs what the cache lacks of the text; its last row gives the first guess.
bool DraftModel::catch_up(const Wanted& one) {
  std::vector<std::int32_t>& cached = cached_[one.slot];
  const auto agree = std::ranges::mismatch(cached, one.text.first(one.text.size() - 1)).in1 - cached.begin();
  cached.resize(static_cast<std::size_t>(agree));
  while (cached.size() < one.text.size()) {
    const auto rest = one.text.subspan(cached.size());
    const auto rows = std::min<std::size_t>(rest.size(), static_cast<std::size_t>(runner_->limits().step_rows));
    const bool last = rows == rest.size();
    plan_.prefill.clear();
    plan_.decode.clear();
    (rows == 1 ? plan_.decode : plan_.prefill)
        .push_back({.sequence = one.slot,
                    .first_slot = static_cast<std::int32_t>(cached.size()),
                    .rows = static_cast<std::int32_t>(rows),
                    .logit_rows = last ? 1 : 0,
                    .rope_length = static_cast<std::int32_t>(runner_->limits().context_tokens)});
    plan_.tokens.assign(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(rows));
    const Result<TensorView> logits = runner_->run_unchecked(plan_);
    if (!logits) return false;
    cached.insert(cached.end(), plan_.tokens.begin(), plan_.tokens.end());
    if (last) take(one, static_cast<const float*>(logits->data));
  }
  return true;
}

/// One more guess for everyone who wants it; false when nobody does.
bool DraftModel::decode(std::span<const Wanted> wanted, std::int64_t round) {
  running_.clear();
  plan_.prefill.clear();
  plan_.decode.clear();
  plan_.tokens.clear();
  for (const Wanted& one : wanted) {
    const std::int64_t cached = std::ssize(cached_[one.slot]);
    if (std::ssize(*one.draft) != round || round >= one.tokens || cached >= runner_->limits().context_tokens) continue;
    running_.push_back(&one);
    plan_.decode.push_back({.sequence = one.slot,
                            .first_slot = static_cast<std::int32_t>(cached),
                            .logit_rows = 1,
                            .rope_length = static_cast<std::int32_t>(runner_->limits().context_tokens)});
    plan_.tokens.push_back(one.draft->back());
  }
  if (running_.empty()) return false;
  const Result<TensorView> logits = runner_->run_unchecked(plan_);
  if (!logits) return false;
  const Rows<const float> rows(*logits);
  for (std::size_t i = 0; i < running_.size(); ++i) {
    cached_[running_[i]->slot].push_back(plan_.tokens[i]);
    take(*running_[i], rows[static_cast<std::int64_t>(i)]);
  }
  return true;
}

void DraftModel::propose(std::span<const Wanted> wanted) {
  const auto context = static_cast<std::size_t>(runner_->limits().context_tokens);
  for (const Wanted& one : wanted) {
    one.draft->clear();
    if (one.text.size() <= context && !catch_up(one)) cached_[one.slot].clear();
  }
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t round = 1;
  while (decode(wanted, round)) ++round;
  if (round == 1) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  token_seconds_ = seconds / static_cast<double>(round - 1);
}

}  // namespace corbel
