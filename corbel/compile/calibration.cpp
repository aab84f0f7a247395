#include "corbel/compile/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace corbel {
namespace {

constexpr std::int64_t kSequenceTokens = 512;
constexpr std::int64_t kFewestTokens = 64;
constexpr std::int64_t kHeadRows = 64;  // of each sequence: a head costs as much per row as many layers

std::int64_t pages_of(std::int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

/// Joins a watch with the taps of a run.
struct WatchTap {
  const InputWatch* watch;
  static void see(void* user, std::string_view module, std::string_view part, const TensorView& value) {
    if (part != ".input") return;
    TensorView rows = value;
    rows.shape = {value.rows(), value.columns()};
    (*static_cast<WatchTap*>(user)->watch)(module, rows);
  }
};

std::int64_t largest_page(const CacheSpec& cache) {
  std::int64_t bytes = 0;
  for (const CacheGroup& group : cache.groups) bytes = std::max(bytes, group.page.page_bytes());
  return bytes;
}

}  // namespace

Result<CalibrationTokens> calibration_tokens(std::string_view text, const std::string& source,
                                             const Tokenizer& tokenizer, std::int64_t most_tokens) {
  if (text.empty()) return fail(Code::bad_file, cat(source, ": the calibration text is empty"));
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return fail(Code::bad_file, cat(source, ": byte ", nul, " is zero; a calibration file is plain text"));
  auto ids = tokenizer.encode(text, {.add_special_tokens = true, .parse_special = true});
  if (!ids) return forward_failure(ids, cat(source, ": a calibration file is plain text"));
  if (std::ssize(*ids) < kFewestTokens)
    return fail(Code::bad_file, cat(source, ": the calibration text has ", ids->size(), " tokens; at least ",
                                    kFewestTokens, " are needed, some thousands are better"));
  CalibrationTokens tokens;
  const std::int64_t count = std::min<std::int64_t>(std::ssize(*ids), most_tokens);
  // The last sequence is not left with a few tokens: all are about as long.
  const std::int64_t sequences = (count + kSequenceTokens - 1) / kSequenceTokens;
  for (std::int64_t s = 0; s < sequences; ++s)
    tokens.emplace_back(ids->begin() + count * s / sequences, ids->begin() + count * (s + 1) / sequences);
  return tokens;
}

Result<CalibrationWalk> CalibrationWalk::start(const TextModel& model, Device& device, CalibrationTokens tokens) {
  CalibrationWalk walk;
  walk.model_ = &model;
  walk.device_ = &device;
  walk.tokens_ = std::move(tokens);
  std::int64_t longest = 1;
  for (const auto& sequence : walk.tokens_) {
    longest = std::max<std::int64_t>(longest, std::ssize(sequence));
    for (const std::int32_t id : sequence) {
      if (id < 0 || id >= model.info().vocab)
        return fail(Code::bad_file, cat("calibration: the tokenizer gives token ", id,
                                        ", the model's vocabulary ends at ", model.info().vocab - 1));
    }
  }
  const CacheSpec& cache = model.info().cache;
  CORBEL_ASSIGN(StepBuffer buffer,
                StepBuffer::make({longest, 1, pages_of(longest), static_cast<int>(cache.groups.size())}, device));
  walk.inputs_ = std::make_unique<StepBuffer>(std::move(buffer));
  CORBEL_ASSIGN(walk.pages_, device.allocate(static_cast<std::size_t>(largest_page(cache) * pages_of(longest))));
  walk.caches_.resize(static_cast<std::size_t>(model.info().layers));
  walk.group_of_layer_.resize(walk.caches_.size());
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    for (const int layer : cache.groups[g].layers) {
      walk.group_of_layer_[layer] = static_cast<int>(g);
      walk.caches_[layer] = {walk.pages_.data(), cache.groups[g].page.page_bytes(), {}};
    }
  }
  Arena measuring;
  RunContext context{.scratch = &measuring};
  const std::int64_t logit_rows = std::min(longest, kHeadRows);
  const StepInputs step = walk.inputs_->measure(longest, 0, logit_rows);
  const TensorView logits = measuring.allocate(DType::f32, {logit_rows, model.info().vocab});
  model.forward(step, CacheView{walk.caches_}, logits, context);
  CORBEL_ASSIGN(walk.scratch_, device.allocate(measuring.peak_bytes()));

  walk.hidden_.resize(walk.tokens_.size());
  for (std::size_t s = 0; s < walk.tokens_.size(); ++s)
    walk.hidden_[s].resize(walk.tokens_[s].size() * static_cast<std::size_t>(model.info().hidden));
  CORBEL_TRY(walk.each_sequence({}, 0, [&](const StepInputs& inputs, const TensorView& hidden, RunContext& run) {
    model.embed(inputs, hidden, run);
  }));
  return walk;
}

template <typename Body>
Result<void> CalibrationWalk::each_sequence(const InputWatch& watch, std::int64_t logit_rows, Body&& body) {
  for (std::size_t s = 0; s < tokens_.size(); ++s) {
    const auto rows = static_cast<std::int32_t>(tokens_[s].size());
    StepPlan plan;
    plan.prefill = {{.rows = rows,
                     .logit_rows = static_cast<std::int32_t>(std::min<std::int64_t>(rows, logit_rows)),
                     .rope_length = rows}};
    plan.tokens = tokens_[s];
    plan.sequences = 1;
    plan.max_pages = static_cast<std::int32_t>(inputs_->limits().pages);
    std::vector<std::int32_t> pages(static_cast<std::size_t>(plan.max_pages));
    for (std::size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<std::int32_t>(i);
    plan.page_tables.assign(model_->info().cache.groups.size(), pages);
    const StepInputs step = inputs_->write(plan);
    for (std::size_t i = 0; i < caches_.size(); ++i) caches_[i].page_table = step.page_tables[group_of_layer_[i]];
    std::memset(pages_.data(), 0, pages_.bytes());
    Arena arena(scratch_.data(), scratch_.bytes());
    WatchTap tap{&watch};
    RunContext context{.device = device_, .scratch = &arena};
    if (watch) {
      context.tap_function = WatchTap::see;
      context.tap_user = &tap;
    }
    body(step, make_view(hidden_[s].data(), {rows, model_->info().hidden}), context);
    CORBEL_TRY(device_->finish());
  }
  return {};
}

Result<void> CalibrationWalk::run_layer(const InputWatch& watch) {
  CORBEL_CHECK(next_layer_ < layers(), "the model has ", layers(), " layers");
  CORBEL_TRY(each_sequence(watch, 0, [&](const StepInputs& step, const TensorView& hidden, RunContext& context) {
    model_->run_layers(next_layer_, 1, step, hidden, CacheView{caches_}, context);
  }));
  ++next_layer_;
  return {};
}

Result<void> CalibrationWalk::run_head(const InputWatch& watch) {
  CORBEL_CHECK(next_layer_ == layers(), "the head comes after the last layer");
  return each_sequence(watch, kHeadRows, [&](const StepInputs& step, const TensorView& hidden, RunContext& context) {
    const TensorView logits = context.allocate(DType::f32, {step.logit_rows, model_->info().vocab});
    model_->head(step, hidden, logits, context);
  });
}

void InputStatistics::add(std::string_view input, const TensorView& rows) {
  auto found = sums_.find(input);
  if (found == sums_.end()) found = sums_.emplace(std::string(input), Sums{}).first;
  Sums& sums = found->second;
  sums.squares.resize(static_cast<std::size_t>(rows.columns()));
  const Rows<const float> x(rows);
  for (std::int64_t r = 0; r < rows.rows(); ++r) {
    for (std::int64_t i = 0; i < rows.columns(); ++i) {
      const double value = x[r][i];
      sums.squares[static_cast<std::size_t>(i)] += value * value;
    }
  }
  sums.rows += rows.rows();
}

std::vector<float> InputStatistics::importance(std::string_view input) const {
  const auto found = sums_.find(input);
  if (found == sums_.end()) return {};
  const std::vector<double>& squares = found->second.squares;
  double mean = 0.0;
  for (const double square : squares) mean += square / static_cast<double>(squares.size());
  if (!(mean > 0.0) || !std::isfinite(mean)) return {};  // weights that are infinite give such sums
  constexpr double kFloor = 0.02;
  std::vector<float> importance(squares.size());
  for (std::size_t i = 0; i < squares.size(); ++i)
    importance[i] = static_cast<float>((squares[i] / mean + kFloor) / (1.0 + kFloor));
  return importance;
}

Result<InputStatistics> measure_inputs(const TextModel& model, Device& device, const CalibrationTokens& tokens,
                                       const std::function<bool(int done, int layers)>& progress) {
  InputStatistics statistics;
  const InputWatch watch = [&](std::string_view input, const TensorView& rows) { statistics.add(input, rows); };
  CORBEL_ASSIGN(CalibrationWalk walk, CalibrationWalk::start(model, device, tokens));
  while (walk.next_layer() < walk.layers()) {
    CORBEL_TRY(walk.run_layer(watch));
    if (progress && !progress(walk.next_layer(), walk.layers()))
      return fail(Code::cancelled, "calibration was cancelled");
  }
  CORBEL_TRY(walk.run_head(watch));
  return statistics;
}

}  // namespace corbel
