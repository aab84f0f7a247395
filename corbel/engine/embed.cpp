#include "corbel/engine/embed.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "corbel/base/base64.h"
#include "corbel/engine/sampler_passes.h"

namespace corbel {
namespace {

constexpr std::int64_t kAgingTokens = 64;  // a step without rows counts like so many tokens less to run

/// Divides by the length; squares of floats are exact in double.
void normalize(std::vector<float>& values) {
  constexpr double kShortest = 1e-12;
  double squares = 0.0;
  for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  const double length = std::max(std::sqrt(squares), kShortest);
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) / length);
}

}  // namespace

std::string_view pooling_name(Pooling pooling) { return pooling == Pooling::last ? "last" : "mean"; }

std::vector<float> shape_embedding(std::span<const float> pooled, const EmbedOptions& options) {
  const std::int64_t count = options.dimensions > 0 ? options.dimensions : std::ssize(pooled);
  std::vector<float> values(pooled.begin(), pooled.begin() + count);
  if (options.normalize) normalize(values);
  return values;
}

Embedder::Embedder(StepRunner& runner)
    : runner_(&runner), pool_(static_cast<int>(runner.model().info().cache.groups.size()), runner.limits().pages) {
  const RunnerLimits& limits = runner.limits();
  const auto sequences = static_cast<std::size_t>(limits.sequences);
  const auto columns = static_cast<std::size_t>(runner.pages_per_sequence());
  const std::size_t groups = runner.model().info().cache.groups.size();
  plan_.sequences = static_cast<std::int32_t>(limits.sequences);
  plan_.max_pages = static_cast<std::int32_t>(columns);
  plan_.page_tables.assign(groups, std::vector<std::int32_t>(sequences * columns));
  plan_.tokens.reserve(static_cast<std::size_t>(limits.step_rows));
  plan_.prefill.reserve(sequences);
  plan_.decode.reserve(sequences);
  free_.reserve(sequences);
  running_.reserve(sequences);
  given_.reserve(sequences);
  for (std::size_t row = 0; row < sequences; ++row) {
    auto slot = std::make_unique<Slot>();
    slot->row = static_cast<std::int32_t>(row);
    slot->sum.resize(static_cast<std::size_t>(runner.model().info().hidden));
    slot->pages.groups.resize(groups);
    for (std::vector<std::int32_t>& pages : slot->pages.groups) pages.reserve(columns);
    free_.push_back(slot.get());
    slots_.push_back(std::move(slot));
  }
}

Result<Embedder> Embedder::make(StepRunner& runner) {
  const RunnerLimits& limits = runner.limits();
  if (limits.hidden_rows < limits.step_rows) {
    return fail(Code::bad_request, cat("embedding needs a runner that gives the hidden states of all ",
                                       limits.step_rows, " rows of a step, not of ", limits.hidden_rows));
  }
  return Embedder(runner);
}

Result<void> Embedder::check(const EmbedRequest& request) const {
  const TextModelInfo& model = runner_->model().info();
  const std::int64_t tokens = std::ssize(request.ids);
  if (tokens == 0) return fail(Code::bad_request, "the text has no tokens");
  if (tokens > runner_->limits().context_tokens) {
    return fail(Code::bad_request,
                cat("the text has ", tokens, " tokens, the context ", runner_->limits().context_tokens,
                    "; nothing is cut off: split the text or raise --context"));
  }
  if (const std::int64_t pages = pages_of_tokens(tokens); pages > pool_.total()) {
    return fail(Code::bad_request,
                cat("the text needs ", pages, " cache pages of ", kPageTokens, " tokens; there are ", pool_.total()));
  }
  for (std::size_t i = 0; i < request.ids.size(); ++i) {
    if (request.ids[i] >= 0 && request.ids[i] < model.vocab) continue;
    return fail(Code::bad_request, cat("token ", i, " of the text has id ", request.ids[i],
                                       ", the model's vocabulary ids 0 to ", model.vocab - 1));
  }
  if (request.options.dimensions < 0 || request.options.dimensions > model.hidden) {
    return fail(Code::bad_request, cat("\"dimensions\" is ", request.options.dimensions, "; the model gives ",
                                       model.hidden, ", of which 1 to all can be kept"));
  }
  return {};
}

Result<void> Embedder::submit(EmbedRequest request) {
  CORBEL_TRY(check(request));
  waiting_.push_back(std::move(request));
  return {};
}

/// In the order of arrival: pages for a whole text are there before its first row runs, so none has to give way.
void Embedder::admit() {
  while (!waiting_.empty() && !free_.empty()) {
    Slot& slot = *free_.back();
    if (!pool_.grow(slot.pages, std::ssize(waiting_.front().ids))) return;
    slot.request = std::move(waiting_.front());
    waiting_.pop_front();
    slot.done = slot.waited = 0;
    std::ranges::fill(slot.sum, 0.0);
    free_.pop_back();
    running_.push_back(&slot);
  }
}

/// Rows for the texts with the least left, so that short ones do not wait for long ones.
void Embedder::schedule(std::int64_t most_rows) {
  given_.clear();
  std::ranges::stable_sort(running_, {}, [](const Slot* slot) { return slot->left() - kAgingTokens * slot->waited; });
  std::int64_t rows_left = runner_->limits().step_rows;
  if (most_rows > 0) rows_left = std::min(rows_left, most_rows);
  for (Slot* const slot : running_) {
    const std::int64_t rows = std::min(rows_left, slot->left());
    slot->waited = rows > 0 ? 0 : slot->waited + 1;
    if (rows > 0) given_.push_back({slot, rows});
    rows_left -= rows;
  }
  // Spans of several rows come before single ones.
  std::ranges::stable_partition(given_, [](const Given& given) { return given.rows > 1; });
  plan_.prefill.clear();
  plan_.decode.clear();
  plan_.tokens.clear();
  for (const Given& given : given_) add_span(given);
}

void Embedder::add_span(const Given& given) {
  const Slot& slot = *given.slot;
  const bool ends = given.rows == slot.left();
  const auto rows = static_cast<std::int32_t>(given.rows);
  (rows == 1 ? plan_.decode : plan_.prefill)
      .push_back({.sequence = slot.row,
                  .first_slot = static_cast<std::int32_t>(slot.done),
                  .rows = rows,
                  .logit_rows = slot.request.options.pooling == Pooling::mean ? rows
                                : ends                                        ? 1
                                                                              : 0,
                  .rope_length = static_cast<std::int32_t>(slot.request.ids.size())});
  const auto begin = slot.request.ids.begin() + slot.done;
  plan_.tokens.insert(plan_.tokens.end(), begin, begin + given.rows);
  for (std::size_t group = 0; group < plan_.page_tables.size(); ++group) {
    const auto table = plan_.page_tables[group].begin() + std::ptrdiff_t{slot.row} * plan_.max_pages;
    std::ranges::copy(slot.pages.groups[group], table);
  }
}

bool Embedder::step(const std::atomic<bool>* cancel, std::int64_t most_rows) {
  admit();
  if (running_.empty()) return false;
  schedule(most_rows);
  ++steps_;
  const Result<TensorView> rows = runner_->run_hidden(plan_, cancel);
  if (rows) {
    deliver(*rows);
  } else {
    for (const Given& given : given_) fail_slot(*given.slot, rows.error());
  }
  return true;
}

void Embedder::deliver(const TensorView& rows) {
  const Rows<const float> values(rows);
  std::int64_t row = 0;
  for (const Given& given : given_) {
    Slot& slot = *given.slot;
    const bool ends = given.rows == slot.left();
    const std::int64_t wanted = slot.request.options.pooling == Pooling::mean ? given.rows : ends ? 1 : 0;
    const std::int64_t first = std::exchange(row, row + wanted);
    slot.done += given.rows;
    bool finite = true;
    for (std::int64_t i = first; i < row; ++i)
      finite = finite && all_finite({values[i], static_cast<std::size_t>(rows.columns())});
    if (!finite) {
      fail_slot(slot, {Code::device_failed,
                       cat("NaN or infinity: ", runner_->find_broken_module(),
                           " is the first module of the step whose output is not finite; its weights or an op are "
                           "broken. `corbel verify` compares every module")});
      continue;
    }
    // Token after token in double: the same sum whatever the pieces.
    for (std::int64_t i = first; i < row; ++i) {
      for (std::int64_t d = 0; d < rows.columns(); ++d) slot.sum[d] += static_cast<double>(values[i][d]);
    }
    if (ends) finish(slot);
  }
}

void Embedder::finish(Slot& slot) {
  // The last token's alone is its own sum, exactly.
  const double count = slot.request.options.pooling == Pooling::mean ? static_cast<double>(slot.done) : 1.0;
  std::vector<float> pooled(slot.sum.size());
  std::ranges::transform(slot.sum, pooled.begin(), [&](double sum) { return static_cast<float>(sum / count); });
  const auto on_end = std::move(slot.request.on_end);
  std::vector<float> embedding = shape_embedding(pooled, slot.request.options);
  release(slot);
  if (on_end) on_end(std::move(embedding));
}

void Embedder::fail_slot(Slot& slot, const Error& error) {
  const auto on_error = std::move(slot.request.on_error);
  release(slot);
  if (on_error) on_error(error);
}

void Embedder::release(Slot& slot) {
  std::erase(running_, &slot);
  pool_.shrink(slot.pages, 0);
  slot.request = {};
  free_.push_back(&slot);
}

void Embedder::cancel_all() {
  const Error error{Code::cancelled, "the text was given up before its end"};
  while (!running_.empty()) fail_slot(*running_.back(), error);
  while (!waiting_.empty()) {
    const EmbedRequest request = std::move(waiting_.front());
    waiting_.pop_front();
    if (request.on_error) request.on_error(error);
  }
}

Result<std::vector<std::vector<float>>> embed_texts(Embedder& embedder,
                                                    std::span<const std::vector<std::int32_t>> texts,
                                                    const EmbedOptions& options, const std::atomic<bool>* cancel) {
  struct State {
    std::vector<std::vector<float>> vectors;
    std::optional<Error> error;
  };
  // Callbacks of texts that are still queued when an error ends this outlive it.
  const auto state = std::make_shared<State>();
  state->vectors.resize(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto submitted = embedder.submit(
        {.ids = texts[i],
         .options = options,
         .on_end = [state, i](std::vector<float> embedding) { state->vectors[i] = std::move(embedding); },
         .on_error = [state](const Error& error) { state->error = state->error.value_or(error); }});
    if (!submitted) state->error = {submitted.error().code, cat("text ", i, ": ", submitted.error().message)};
    if (state->error) break;
  }
  // What was queued runs to its end, so that the next call finds the embedder empty.
  while (embedder.step(cancel)) continue;
  if (state->error) return Failure{*state->error};
  return std::move(state->vectors);
}

std::string embedding_json(std::span<const float> embedding, EmbeddingEncoding encoding) {
  static_assert(std::endian::native == std::endian::little, "base64 vectors are little-endian floats");
  if (encoding == EmbeddingEncoding::base64) return cat('"', base64_of(std::as_bytes(embedding)), '"');
  std::string text = "[";
  char number[32];
  for (const float value : embedding) {
    const auto written = std::to_chars(number, number + sizeof number, value);
    text.append(text.size() > 1 ? "," : "").append(number, written.ptr);
  }
  return text + "]";
}

}  // namespace corbel
