#include "corbel/ops/linear.h"

#include <algorithm>
#include <vector>

#include "corbel/format/packed_format.h"
#include "corbel/ops/exact_lanes.h"
#include "corbel/ops/quantized_rows.h"
#include "corbel/ops/spec_check.h"

namespace corbel {

std::string_view arithmetic_name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::f32: return "f32";
    case Arithmetic::bf16: return "bf16";
    case Arithmetic::int8: return "int8";
  }
  return "?";
}

std::string_view activation_name(Activation activation) {
  switch (activation) {
    case Activation::none: return "none";
    case Activation::silu: return "silu";
    case Activation::gelu: return "gelu";
    case Activation::gelu_tanh: return "gelu_tanh";
    case Activation::relu: return "relu";
  }
  return "?";
}

namespace {

float activate(Activation activation, float x) noexcept {
  switch (activation) {
    case Activation::none: return x;
    case Activation::silu: return silu_f32(x);
    case Activation::gelu: return gelu_f32(x);
    case Activation::gelu_tanh: return gelu_tanh_f32(x);
    case Activation::relu: return relu_f32(x);
  }
  return x;
}

/// bf16 arithmetic with scales: of all weights or of none.
bool has_scales(const Linear::Spec& spec) noexcept {
  const PackedCodec* const codec = spec.outputs[0].format->packed;
  return spec.arithmetic == Arithmetic::bf16 && codec != nullptr && codec->has_scales();
}

std::int64_t padded_groups(std::int64_t count) noexcept {
  return (count + kScaledGroup - 1) / kScaledGroup * kScaledGroup;
}

/// The input rows in the form the arithmetic wants them: as they are, or rounded to bf16 and paired.
class PreparedRows {
 public:
  PreparedRows(const Linear::Spec& spec, const TensorView& x)
      : arithmetic_(spec.arithmetic),
        in_(spec.in_features),
        padded_(has_scales(spec) ? padded_groups(in_) : padded_pairs(in_)),
        view_(x) {
    if (arithmetic_ == Arithmetic::int8) {
      quantized_.reserve(static_cast<std::size_t>(x.rows()));
      for (std::int64_t r = 0; r < x.rows(); ++r) quantized_.emplace_back(view_[r], in_);
    }
    if (arithmetic_ != Arithmetic::bf16) return;
    values_.resize(static_cast<std::size_t>(x.rows() * padded_));
    std::vector<float> rounded(static_cast<std::size_t>(in_));
    for (std::int64_t r = 0; r < x.rows(); ++r) {
      const float* row = view_[r];
      for (std::int64_t i = 0; i < in_; ++i) rounded[i] = to_float(to_bfloat16(row[i]));
      float* const values = values_.data() + r * padded_;
      if (!has_scales(spec)) {
        pair_up(rounded.data(), in_, values);
        continue;
      }
      for (std::int64_t i = 0; i < in_; ++i) values[i] = flush_subnormal(rounded[i]);
    }
  }

  /// `weight` is one decoded row; paired when the arithmetic is bf16.
  float dot(std::int64_t row, const float* weight) const noexcept {
    if (arithmetic_ == Arithmetic::f32) return dot_f32(view_[row], weight, in_);
    return dot_bf16(values_.data() + row * padded_, weight, padded_);
  }
  float dot_scaled(std::int64_t row, const float* numbers, const float* scales) const noexcept {
    return dot_bf16_scaled(values_.data() + row * padded_, numbers, scales, padded_ / kScaledGroup);
  }
  float dot(std::int64_t row, const PackedWeightRow& weight) const noexcept {
    return dot_int8(quantized_[static_cast<std::size_t>(row)], weight);
  }

 private:
  Arithmetic arithmetic_;
  std::int64_t in_;
  std::int64_t padded_;
  Rows<const float> view_;
  std::vector<float> values_;
  std::vector<QuantizedRow> quantized_;
};

/// Decodes one row of a weight at a time into memory that lives as long as the call.
class WeightRow {
 public:
  explicit WeightRow(const Linear::Spec& spec)
      : spec_(spec),
        decoded_(static_cast<std::size_t>(spec.in_features)),
        paired_(static_cast<std::size_t>(padded_pairs(spec.in_features))),
        numbers_(static_cast<std::size_t>(packed_blocks(spec.in_features) * kPackedColumns)),
        scales_(numbers_.size() / kScaledGroup),
        packed_(spec.in_features) {}

  const float* decode(const std::byte* weight, const WeightFormat& format, std::int64_t feature) noexcept {
    format.decode_row(weight, spec_.in_features, feature, decoded_.data());
    if (spec_.arithmetic == Arithmetic::f32) return decoded_.data();
    pair_up(decoded_.data(), spec_.in_features, paired_.data());
    return paired_.data();
  }
  /// numbers() and scales() of one row with scales.
  void read(const std::byte* weight, const WeightFormat& format, std::int64_t feature) noexcept {
    const std::byte* block = weight + feature / kStripRows * strip_bytes(format, spec_.in_features);
    const auto row = static_cast<int>(feature % kStripRows);
    for (std::int64_t b = 0; b < packed_blocks(spec_.in_features); ++b, block += format.block_bytes)
      format.packed->read_row(block, row, numbers_.data() + b * kPackedColumns,
                              scales_.data() + b * (kPackedColumns / kScaledGroup));
  }
  const float* numbers() const noexcept { return numbers_.data(); }
  const float* scales() const noexcept { return scales_.data(); }
  const PackedWeightRow& unpack(const std::byte* weight, const WeightFormat& format, std::int64_t feature) noexcept {
    packed_.unpack(weight, format, feature);
    return packed_;
  }

 private:
  const Linear::Spec& spec_;
  std::vector<float> decoded_;
  std::vector<float> paired_;
  std::vector<float> numbers_;
  std::vector<float> scales_;
  PackedWeightRow packed_;
};

/// One feature of one weight for all rows: dot product, + bias, activation.
// The body of one loop, called in two places. NOLINTNEXTLINE(readability-function-size)
void feature_of_rows(const Linear::Spec& spec, const Linear::Args& args, int w, std::int64_t feature,
                     const PreparedRows& x, WeightRow& weight, float* results) noexcept {
  const std::int64_t rows = args.x.rows();
  const Linear::Output& output = spec.outputs[w];
  if (spec.arithmetic == Arithmetic::int8) {
    const PackedWeightRow& values = weight.unpack(args.weights[w], *output.format, feature);
    run_exact([&] {
      for (std::int64_t r = 0; r < rows; ++r) results[r] = x.dot(r, values);
    });
  } else if (has_scales(spec)) {
    weight.read(args.weights[w], *output.format, feature);
    run_exact([&] {
      for (std::int64_t r = 0; r < rows; ++r) results[r] = x.dot_scaled(r, weight.numbers(), weight.scales());
    });
  } else {
    const float* values = weight.decode(args.weights[w], *output.format, feature);
    run_exact([&] {
      for (std::int64_t r = 0; r < rows; ++r) results[r] = x.dot(r, values);
    });
  }
  const bool activated = !spec.gated || w == 0;
  const float* bias = output.has_bias ? static_cast<const float*>(args.biases[w].data) : nullptr;
  for (std::int64_t r = 0; r < rows; ++r) {
    if (bias != nullptr) results[r] += bias[feature];
    if (activated) results[r] = activate(spec.activation, results[r]);
  }
}

Result<void> check_output(const Linear::Spec& spec, int w) {
  const Linear::Output& output = spec.outputs[w];
  CORBEL_TRY(check_size(Linear::kName, cat("outputs[", w, "].features"), output.features));
  if (output.format == nullptr)
    return refuse(Linear::kName, cat("outputs[", w, "].format is missing, it must name a weight format"));
  if (output.format->packed == nullptr && spec.in_features % output.format->block_values != 0) {
    return refuse(Linear::kName, cat("in_features is ", spec.in_features, ", it must be a multiple of ",
                                     output.format->block_values, " for outputs[", w, "] in ", output.format->name));
  }
  const PackedCodec* const codec = output.format->packed;
  if (spec.arithmetic == Arithmetic::bf16 && output.format != &bf16_format() &&
      (codec == nullptr || !codec->numbers_are_bf16)) {
    return refuse(Linear::kName, cat("outputs[", w, "].format is ", output.format->name,
                                     ", arithmetic bf16 takes bf16 weights only; use arithmetic f32"));
  }
  if (spec.arithmetic == Arithmetic::bf16 && (codec != nullptr && codec->has_scales()) != has_scales(spec)) {
    return refuse(Linear::kName, cat("outputs[", w, "].format is ", output.format->name, " and outputs[0].format ",
                                     spec.outputs[0].format->name,
                                     ", in arithmetic bf16 all weights have scales or none; use arithmetic f32"));
  }
  if (spec.arithmetic == Arithmetic::int8 && (codec == nullptr || !codec->has_integers())) {
    return refuse(Linear::kName, cat("outputs[", w, "].format is ", output.format->name,
                                     ", arithmetic int8 takes packed integers only; use arithmetic f32"));
  }
  return {};
}

}  // namespace

Result<void> Linear::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "in_features", spec.in_features));
  CORBEL_TRY(check_size(kName, "weights", spec.weights, kMaxWeights));
  if (arithmetic_name(spec.arithmetic) == "?")
    return refuse(kName, cat("arithmetic is ", static_cast<int>(spec.arithmetic), ", known: f32, bf16, int8"));
  if (activation_name(spec.activation) == "?") {
    return refuse(
        kName, cat("activation is ", static_cast<int>(spec.activation), ", known: none, silu, gelu, gelu_tanh, relu"));
  }
  for (int w = 0; w < spec.weights; ++w) CORBEL_TRY(check_output(spec, w));
  if (spec.gated) {
    if (spec.weights != 2) return refuse(kName, cat("gated with ", spec.weights, " weights, it takes 2: gate and up"));
    if (spec.outputs[0].features != spec.outputs[1].features) {
      return refuse(kName, cat("gated with ", spec.outputs[0].features, " gate and ", spec.outputs[1].features,
                               " up features, they must be equal"));
    }
  }
  if (spec.add_residual && !spec.gated && spec.weights != 1)
    return refuse(kName, cat("add_residual with ", spec.weights, " outputs, it takes 1"));
  return {};
}

void Linear::reference(const Spec& spec, const Args& args) noexcept {
  const std::int64_t rows = args.x.rows();
  if (rows == 0) return;
  const PreparedRows x(spec, args.x);
  WeightRow weight(spec);
  std::vector<float> result(static_cast<std::size_t>(rows));
  std::vector<float> up(static_cast<std::size_t>(rows));
  const int outputs = spec.gated ? 1 : spec.weights;
  for (int w = 0; w < outputs; ++w) {
    const Rows<float> out(args.out[w]);
    for (std::int64_t feature = 0; feature < spec.outputs[w].features; ++feature) {
      feature_of_rows(spec, args, w, feature, x, weight, result.data());
      if (spec.gated) {
        feature_of_rows(spec, args, 1, feature, x, weight, up.data());
        for (std::int64_t r = 0; r < rows; ++r) result[r] *= up[r];
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const float value = result[r];
        out[r][feature] = spec.add_residual ? Rows<const float>(args.residual)[r][feature] + value : value;
      }
    }
  }
}

}  // namespace corbel
