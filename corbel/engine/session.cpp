#include "corbel/engine/session.h"

#include <algorithm>

namespace corbel {

Session::Session(StepRunner& runner)
    : runner_(&runner), pool_(static_cast<int>(runner.model().info().cache.groups.size()), runner.limits().pages) {
  const std::int64_t columns = runner.pages_per_sequence();
  plan_.sequences = 1;
  plan_.max_pages = static_cast<std::int32_t>(columns);
  plan_.page_tables.assign(runner.model().info().cache.groups.size(),
                           std::vector<std::int32_t>(static_cast<std::size_t>(columns)));
  plan_.tokens.reserve(static_cast<std::size_t>(runner.limits().step_rows));
  plan_.prefill.reserve(1);
  plan_.decode.reserve(1);
  tokens_.reserve(static_cast<std::size_t>(runner.limits().context_tokens));
}

Result<Session> Session::make(StepRunner& runner) {
  if (runner.limits().sequences != 1) {
    return fail(Code::bad_request, cat("a session needs a runner of 1 sequence, not of ", runner.limits().sequences));
  }
  return Session(runner);
}

Result<void> Session::check(std::span<const std::int32_t> ids, std::int64_t total) const {
  if (ids.empty()) return fail(Code::bad_request, "the prompt has no tokens");
  if (total > capacity()) {
    return fail(Code::bad_request,
                cat("the prompt has ", total, " tokens, the context ", capacity(),
                    "; shorten it or raise --context (the model was made for ", model().info().max_positions, ")"));
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= model().info().vocab) {
      return fail(Code::bad_request,
                  cat("token ", i, " has id ", ids[i], ", the model's vocabulary ids 0 to ", model().info().vocab - 1));
    }
  }
  return {};
}

void Session::rewind(std::int64_t count) noexcept {
  if (count >= static_cast<std::int64_t>(tokens_.size())) return;
  tokens_.resize(static_cast<std::size_t>(std::max<std::int64_t>(count, 0)));
  pool_.shrink(pages_, static_cast<std::int64_t>(tokens_.size()));
}

Result<TensorView> Session::step(std::span<const std::int32_t> ids, bool wants_logits,
                                 const std::atomic<bool>* cancel) {
  const auto first = static_cast<std::int64_t>(tokens_.size());
  const auto rows = static_cast<std::int32_t>(ids.size());
  CORBEL_TRY(pool_.grow(pages_, first + rows));
  for (std::size_t group = 0; group < pages_.groups.size(); ++group) {
    std::copy(pages_.groups[group].begin(), pages_.groups[group].end(), plan_.page_tables[group].begin());
  }
  plan_.tokens.assign(ids.begin(), ids.end());
  plan_.prefill.clear();
  plan_.decode.clear();
  (rows == 1 ? plan_.decode : plan_.prefill)
      .push_back({.first_slot = static_cast<std::int32_t>(first),
                  .rows = rows,
                  .logit_rows = wants_logits ? 1 : 0,
                  .rope_length = static_cast<std::int32_t>(capacity())});
  Result<TensorView> logits = runner_->run(plan_, cancel);
  if (!logits) {
    pool_.shrink(pages_, first);
    return logits;
  }
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  return logits;
}

Result<void> Session::restore(std::span<const std::int32_t> ids,
                              const std::function<Result<void>(const SequencePages& pages)>& fill) {
  CORBEL_TRY(check(ids, static_cast<std::int64_t>(ids.size())));
  rewind(0);
  CORBEL_TRY(pool_.grow(pages_, static_cast<std::int64_t>(ids.size())));
  if (const auto filled = fill(pages_); !filled) {
    pool_.shrink(pages_, 0);
    return forward_failure(filled);
  }
  tokens_.assign(ids.begin(), ids.end());
  return {};
}

Result<TensorView> Session::prefill(std::span<const std::int32_t> ids, const std::atomic<bool>* cancel) {
  CORBEL_TRY(check(ids, static_cast<std::int64_t>(ids.size())));
  const auto cached = std::mismatch(tokens_.begin(), tokens_.end(), ids.begin(), ids.end()).first - tokens_.begin();
  // The last id runs even when it is cached: its logits are what is asked for.
  rewind(std::min<std::int64_t>(cached, static_cast<std::int64_t>(ids.size()) - 1));
  ids = ids.subspan(tokens_.size());
  prefilled_ = static_cast<std::int64_t>(ids.size());
  const auto step_rows = static_cast<std::size_t>(runner_->limits().step_rows);
  while (ids.size() > step_rows) {
    CORBEL_TRY(step(ids.first(step_rows), false, cancel));
    ids = ids.subspan(step_rows);
  }
  return step(ids, true, cancel);
}

Result<TensorView> Session::decode(std::int32_t token, const std::atomic<bool>* cancel) {
  const std::span<const std::int32_t> ids(&token, 1);
  CORBEL_TRY(check(ids, static_cast<std::int64_t>(tokens_.size()) + 1));
  return step(ids, true, cancel);
}

}  // namespace corbel
