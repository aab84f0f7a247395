#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/model/step_plan.h"
#include "corbel/model/text_model.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

/// Sequences of tokens that a model reads to show what its linear layers are multiplied with.
using CalibrationTokens = std::vector<std::vector<std::int32_t>>;

/// Of `text`: sequences of at most 512 tokens, at most `most_tokens` altogether. `source` names it in messages.
/// Refused: an empty text, bytes that are no text (invalid UTF-8, NUL), fewer than 64 tokens.
Result<CalibrationTokens> calibration_tokens(std::string_view text, const std::string& source,
                                             const Tokenizer& tokenizer, std::int64_t most_tokens = 16384);

/// A few pages of prose, dialogue, code, tables and lists, written for this purpose. ASCII.
std::string_view built_in_calibration_text();

/// Sees the rows that matrices with WeightUse::input `input` are multiplied with: f32 [rows, columns], valid during the
/// call.
using InputWatch = std::function<void(std::string_view input, const TensorView& rows)>;

/// Walks through a model layer by layer, all sequences at once, so that what a layer is multiplied with need not be
/// kept for all layers. Owns the rows between layers. The model and the device outlive it. One thread.
class CalibrationWalk {
 public:
  /// Runs the embedding. Refused: a device without memory; tokens beyond the vocabulary.
  static Result<CalibrationWalk> start(const TextModel& model, Device& device, CalibrationTokens tokens);

  int layers() const { return model_->info().layers; }
  int next_layer() const { return next_layer_; }
  /// Runs the next layer on every sequence.
  Result<void> run_layer(const InputWatch& watch);
  /// Runs the head on the last rows of every sequence; after the last layer.
  Result<void> run_head(const InputWatch& watch);

 private:
  CalibrationWalk() = default;
  template <typename Body>
  Result<void> each_sequence(const InputWatch& watch, std::int64_t logit_rows, Body&& body);
  const TextModel* model_ = nullptr;
  Device* device_ = nullptr;
  CalibrationTokens tokens_;
  std::vector<std::vector<float>> hidden_;  // per sequence [tokens, hidden]
  std::unique_ptr<StepBuffer> inputs_;
  DeviceMemory scratch_;
  DeviceMemory pages_;  // of one sequence and one layer
  std::vector<KvLayer> caches_;
  std::vector<int> group_of_layer_;
  int next_layer_ = 0;
};

/// Mean square of each column of what a matrix is multiplied with, by WeightUse::input.
class InputStatistics {
 public:
  void add(std::string_view input, const TensorView& rows);
  /// f32 [columns], mean 1: columns that never carried anything count a little, too. Empty when nothing was seen.
  std::vector<float> importance(std::string_view input) const;

 private:
  struct Sums {
    std::vector<double> squares;
    std::int64_t rows = 0;
  };
  std::map<std::string, Sums, std::less<>> sums_;
};

/// Walks through the whole model.
Result<InputStatistics> measure_inputs(const TextModel& model, Device& device, const CalibrationTokens& tokens,
                                       const std::function<bool(int done, int layers)>& progress);

}  // namespace corbel
