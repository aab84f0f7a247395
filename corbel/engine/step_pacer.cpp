#include "corbel/engine/step_pacer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace corbel {
namespace {

void learn(double& mean, double value) noexcept {
  constexpr double kShare = 0.2;
  mean = mean == 0.0 ? value : mean + kShare * (value - mean);
}

}  // namespace

int StepPacer::place_of(double position) noexcept {
  return std::clamp(static_cast<int>(std::ceil(std::log2(std::max(position, 1.0) / 1024.0))), 0, kPositions - 1);
}

void StepPacer::measured(const Shape& shape, double seconds) noexcept {
  if (shape.prompt_rows == 0) {
    return learn(decode_[place_of_rows(shape.decode_rows)], seconds);
  }
  // A few rows alone mostly cost the reading of the weights, which decoding rows would share.
  constexpr std::int64_t kManyRows = 64;
  const double without = shape.decode_rows > 0 ? decode_seconds(shape.decode_rows) : 0.0;
  if (without == 0.0 && shape.prompt_rows < kManyRows) return;
  const double added = std::max(seconds - without, 0.02 * seconds);
  learn(prompt_row_[place_of(shape.prompt_position)], added / static_cast<double>(shape.prompt_rows));
}

double StepPacer::decode_seconds(std::int64_t rows) const noexcept {
  const auto at = static_cast<int>(place_of_rows(rows));
  int below = at;
  while (below > 0 && decode_[below] == 0.0) --below;
  int above = at;
  while (above < kRows - 1 && decode_[above] == 0.0) ++above;
  const double low = decode_[below];
  const double high = decode_[above];
  if (low == 0.0 || high == 0.0 || below == above) return std::max(low, high);
  return low + (high - low) * (at - below) / (above - below);
}

double StepPacer::prompt_row_seconds(std::int64_t position) const noexcept {
  const int at = place_of(static_cast<double>(position));
  for (int place = at; place >= 0; --place) {
    if (prompt_row_[place] != 0.0) return prompt_row_[place];
  }
  for (int place = at; place < kPositions; ++place) {
    if (prompt_row_[place] != 0.0) return prompt_row_[place];
  }
  // A first guess: arithmetic of eight rows costs about what reading the weights does.
  return decode_seconds(1) / 8.0;
}

double StepPacer::streams_for_prompt(std::int64_t tokens) noexcept {
  constexpr double kMostStreams = 8.0;
  constexpr double kStreamTokens = 2048.0;
  return std::min(kMostStreams, kStreamTokens / static_cast<double>(std::max<std::int64_t>(tokens, 1)));
}

double StepPacer::seconds_for_prompts(std::int64_t decode_rows, double streams) const noexcept {
  const double without = decode_rows > 0 ? decode_seconds(decode_rows) : 0.0;
  if (without == 0.0) return std::numeric_limits<double>::infinity();
  return (stretch_ * std::max(1.0, streams / static_cast<double>(decode_rows)) - 1.0) * without;
}

}  // namespace corbel
