#include "corbel/engine/step_pacer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace corbel {
namespace {

// A step that the machine stopped in, for other work, says nothing of what rows cost: it counts like one twice as long.
constexpr double kMostJump = 2.0;

void learn(double& mean, double value) noexcept {
  constexpr double kShare = 0.2;
  mean = mean == 0.0 ? value : mean + kShare * (std::min(value, kMostJump * mean) - mean);
}

/// For what others wait for: dearer than thought is believed sooner than cheaper.
void learn_carefully(double& mean, double value) noexcept {
  constexpr double kUp = 0.35;
  constexpr double kDown = 0.15;
  mean = mean == 0.0 ? value : mean + (value > mean ? kUp : kDown) * (std::min(value, kMostJump * mean) - mean);
}

}  // namespace

int StepPacer::place_of(double position) noexcept {
  return std::clamp(static_cast<int>(std::ceil(std::log2(std::max(position, 1.0) / 1024.0))), 0, kPositions - 1);
}

void StepPacer::measured(const Shape& shape, double seconds) noexcept {
  if (shape.prompt_rows == 0) {
    const std::size_t at = place_of_rows(shape.decode_rows);
    if (std::exchange(doubted_[at], false)) decode_[at] = 0.0;
    return learn(decode_[at], seconds);
  }
  const auto rows = static_cast<double>(shape.prompt_rows);
  const int place = place_of(shape.prompt_position);
  // A few rows alone mostly cost the reading of the weights, which decoding rows would share.
  constexpr std::int64_t kManyRows = 64;
  if (shape.decode_rows == 0) {
    if (shape.prompt_rows >= kManyRows) learn(alone_row_[place], seconds / rows);
    return;
  }
  const double without = decode_seconds(shape.decode_rows);
  if (without == 0.0 && shape.prompt_rows < kManyRows) return;
  learn_carefully(beside_row_[place], std::max(seconds - without, 0.02 * seconds) / rows);
}

double StepPacer::decode_seconds(std::int64_t rows) const noexcept {
  const auto at = static_cast<int>(place_of_rows(rows));
  int below = at;
  while (below > 0 && decode_[below] == 0.0) --below;
  int above = at;
  while (above < kRows - 1 && decode_[above] == 0.0) ++above;
  const double low = decode_[below];
  const double high = decode_[above];
  // More than were ever measured, a guess: each takes what one of many rows takes.
  if (high == 0.0 && low != 0.0) return low + (at - below) * alone_row_[0];
  if (low == 0.0 || below == above) return high;
  return low + (high - low) * (at - below) / (above - below);
}

void StepPacer::doubt_more_rows_than(std::int64_t rows) noexcept {
  constexpr double kShare = 0.002;  // half of it is gone after 350 steps
  const double least = decode_seconds(rows);
  for (std::size_t at = place_of_rows(rows) + 1; at < decode_.size(); ++at) {
    if (decode_[at] <= least) continue;
    decode_[at] += kShare * (least - decode_[at]);
    doubted_[at] = true;
  }
}

/// The place that was measured nearest to `place`, lower ones first; -1: none was.
int StepPacer::nearest(const Rows& rows, int place) noexcept {
  for (int at = place; at >= 0; --at) {
    if (rows[at] != 0.0) return at;
  }
  for (int at = place; at < kPositions; ++at) {
    if (rows[at] != 0.0) return at;
  }
  return -1;
}

double StepPacer::prompt_row_seconds(std::int64_t position) const noexcept {
  // What one of a few rows takes, beside one of many (Llama-3.2-1B's shape: 8 streams, 0.37 and 0.27 ms).
  constexpr double kOfFew = 1.4;
  const int place = place_of(static_cast<double>(position));
  const int beside = nearest(beside_row_, place);
  const int alone = nearest(alone_row_, place);
  if (beside == place || (beside >= 0 && alone < 0)) return beside_row_[beside];
  if (beside >= 0) {
    // As much dearer as it is alone.
    const double there = alone_row_[nearest(alone_row_, beside)];
    return beside_row_[beside] * std::max(1.0, alone_row_[alone] / there);
  }
  if (alone >= 0) return kOfFew * alone_row_[alone];
  // A first guess: arithmetic of eight rows costs about what reading the weights does.
  return decode_seconds(1) / 8.0;
}

std::int64_t StepPacer::least_prompt_rows(std::int64_t decode_rows, double row_seconds) const noexcept {
  constexpr std::int64_t kLeast = 2;
  constexpr std::int64_t kUsual = 8;
  constexpr double kMore = 1.5;  // of what the step takes without
  const double seconds = kMore * decode_seconds(decode_rows);
  if (seconds >= kUsual * row_seconds) return kUsual;
  return std::max(kLeast, static_cast<std::int64_t>(seconds / row_seconds));
}

double StepPacer::streams_for_prompt(std::int64_t tokens) noexcept {
  constexpr double kMostStreams = 32.0;
  constexpr double kStreamTokens = 2048.0;
  return std::min(kMostStreams, kStreamTokens / static_cast<double>(std::max<std::int64_t>(tokens, 1)));
}

double StepPacer::seconds_for_prompts(std::int64_t decode_rows, double streams) const noexcept {
  const double without = decode_rows > 0 ? decode_seconds(decode_rows) : 0.0;
  if (without == 0.0) return std::numeric_limits<double>::infinity();
  return (stretch_ * std::max(1.0, streams / static_cast<double>(decode_rows)) - 1.0) * without;
}

}  // namespace corbel
