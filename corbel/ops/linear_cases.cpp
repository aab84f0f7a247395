#include <algorithm>
#include <array>
#include <cmath>

#include "corbel/format/gguf_packed.h"
#include "corbel/format/packed_format.h"
#include "corbel/ops/case_list.h"
#include "corbel/ops/case_shapes.h"
#include "corbel/ops/linear.h"

namespace corbel {
namespace {

/// Weights of one case hold at most about this many values: a slice of a large layer finds what the whole would.
constexpr std::int64_t kMaxWeightValues = std::int64_t{3} << 20;

/// How a case feeds the op, beyond its spec.
struct Feed {
  std::int64_t rows = 1;
  std::int64_t offset_bytes = 0;   // of the weights
  std::int64_t extra_columns = 0;  // x, residual and outputs are parts of wider rows
  bool hostile = false;
  bool residual_is_out = false;
};

TensorView columns_of(TensorView wide, std::int64_t columns) {
  wide.shape[wide.shape.rank() - 1] = columns;
  return wide;
}

Linear::Args make_args(const Linear::Spec& spec, const Feed& feed, CaseMemory& memory) {
  Linear::Args args;
  const Shape x_shape{feed.rows, spec.in_features + feed.extra_columns};
  args.x = feed.hostile ? memory.hostile_rows(x_shape) : memory.input(DType::f32, x_shape);
  args.x = columns_of(args.x, spec.in_features);
  // About unit outputs, so that the bend of every activation is met.
  const float amplitude = 4.0F / std::sqrt(static_cast<float>(spec.in_features));
  for (int w = 0; w < spec.weights; ++w) {
    const Linear::Output& output = spec.outputs[w];
    args.weights[w] = memory.matrix(*output.format, {output.features, spec.in_features}, amplitude, feed.offset_bytes);
    if (output.has_bias) args.biases[w] = memory.input(DType::f32, {output.features}, 0.5F);
    if (w > 0 && spec.gated) continue;
    const Shape shape{feed.rows, output.features + feed.extra_columns};
    const bool in_place = spec.add_residual && feed.residual_is_out;
    args.out[w] =
        columns_of(in_place ? memory.in_place(DType::f32, shape) : memory.output(DType::f32, shape), output.features);
    if (in_place)
      args.residual = args.out[w];
    else if (spec.add_residual)
      args.residual = columns_of(memory.input(DType::f32, shape), output.features);
  }
  return args;
}

std::string describe(const Linear::Spec& spec, const Feed& feed) {
  std::string features;
  for (int w = 0; w < spec.weights; ++w)
    features += cat(w > 0 ? "+" : "", spec.outputs[w].features, spec.outputs[w].has_bias ? "b" : "");
  return cat("in=", spec.in_features, " features=", features, " ", spec.outputs[0].format->name,
             " arithmetic=", arithmetic_name(spec.arithmetic), spec.gated ? " gated" : "",
             spec.activation == Activation::none ? "" : cat(" ", activation_name(spec.activation)),
             spec.add_residual ? (feed.residual_is_out ? " residual=out" : " residual") : "", " rows=", feed.rows,
             feed.hostile ? " hostile" : "", feed.offset_bytes > 0 ? cat(" offset=", feed.offset_bytes) : "",
             feed.extra_columns > 0 ? cat(" stride+", feed.extra_columns) : "");
}

class CaseList {
 public:
  void add(const Linear::Spec& spec, const Feed& feed) {
    cases_.push_back(
        {describe(spec, feed), spec, [spec, feed](CaseMemory& memory) { return make_args(spec, feed, memory); }});
  }
  void push(OpCase<Linear> one) { cases_.push_back(std::move(one)); }
  std::vector<OpCase<Linear>> take() { return std::move(cases_); }

 private:
  std::vector<OpCase<Linear>> cases_;
};

Linear::Spec single(std::int64_t in, std::int64_t features, const WeightFormat& format, Arithmetic arithmetic) {
  Linear::Spec spec{.in_features = in, .weights = 1, .arithmetic = arithmetic};
  spec.outputs[0] = {features, &format, false};
  return spec;
}

/// As many features as keep the weight small; odd when cut, so that the last tile is never full.
std::int64_t slice(std::int64_t features, std::int64_t in) {
  const std::int64_t most = kMaxWeightValues / in;
  return features <= most ? features : most / 2 * 2 - 1;
}

/// What a decoder layer and the head do with linear layers, at one model's sizes.
void add_model(const CaseShape& shape, int number, Arithmetic arithmetic, CaseList& list) {
  constexpr std::array<std::int64_t, 8> kRows = {1, 2, 3, 4, 5, 8, 17, 32};
  const std::int64_t rows = kRows[number % kRows.size()];
  const std::int64_t other_rows = kRows[(number * 3 + 1) % kRows.size()];
  const bool bf16 = arithmetic == Arithmetic::bf16;
  const WeightFormat& format =
      bf16 || number % 3 == 0 ? bf16_format() : (number % 3 == 1 ? f16_format() : f32_format());
  const std::int64_t q = shape.q_heads * shape.head_dim;
  const std::int64_t kv = shape.kv_heads * shape.head_dim;

  Linear::Spec qkv = single(shape.hidden, slice(q, shape.hidden), format, arithmetic);
  qkv.weights = 3;
  for (int w = 1; w < 3; ++w) qkv.outputs[w] = {slice(kv, shape.hidden), &format, false};
  for (int w = 0; w < 3; ++w) qkv.outputs[w].has_bias = shape.qkv_bias;
  list.add(qkv, {.rows = rows});

  Linear::Spec back = single(q, slice(shape.hidden, q), format, arithmetic);
  back.add_residual = true;
  list.add(back, {.rows = other_rows, .residual_is_out = number % 2 == 0});

  Linear::Spec gate = single(shape.hidden, slice(shape.ffn, shape.hidden), format, arithmetic);
  gate.weights = 2;
  gate.outputs[1] = gate.outputs[0];
  gate.gated = true;
  gate.activation = number % 4 == 3 ? Activation::gelu_tanh : Activation::silu;
  list.add(gate, {.rows = number % 2 == 0 ? 1 : rows});

  Linear::Spec down = single(shape.ffn, slice(shape.hidden, shape.ffn), format, arithmetic);
  down.add_residual = true;
  list.add(down, {.rows = number % 2 == 0 ? rows : 1, .residual_is_out = number % 2 == 1});

  list.add(single(shape.hidden, slice(shape.vocab, shape.hidden), format, arithmetic), {.rows = number % 3 + 1});
}

void add_odd_sizes(const WeightFormat& format, Arithmetic arithmetic, CaseList& list) {
  int number = 0;
  for (const std::int64_t in : {1, 2, 15, 16, 17, 31, 32, 33, 63, 100, 129}) {
    for (const std::int64_t features : {1, 7, 16, 33}) {
      constexpr std::array<std::int64_t, 7> kRows = {1, 2, 3, 7, 15, 16, 31};
      Linear::Spec spec = single(in, features, format, arithmetic);
      spec.outputs[0].has_bias = number % 2 == 1;
      spec.add_residual = number % 3 == 2;
      list.add(spec, {.rows = kRows[number % kRows.size()],
                      .offset_bytes = number % 4 == 3 ? number % 61 : 0,
                      .extra_columns = number % 5 == 4 ? 3 : 0,
                      .residual_is_out = number % 2 == 0});
      ++number;
    }
  }
}

void add_epilogues(const WeightFormat& format, Arithmetic arithmetic, CaseList& list) {
  for (const Activation activation :
       {Activation::none, Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::relu}) {
    for (const bool gated : {false, true}) {
      Linear::Spec spec = single(48, 19, format, arithmetic);
      spec.activation = activation;
      spec.gated = gated;
      spec.outputs[0].has_bias = true;
      if (gated) {
        spec.weights = 2;
        spec.outputs[1] = {19, &format, activation == Activation::gelu};
      }
      spec.add_residual = activation != Activation::relu;
      list.add(spec, {.rows = 5, .residual_is_out = gated});
      list.add(spec, {.rows = 12, .hostile = true});
    }
  }
  Linear::Spec four = single(40, 9, format, arithmetic);
  four.weights = 4;
  for (int w = 1; w < 4; ++w) four.outputs[w] = {9 + 8 * w, &format, w % 2 == 0};
  list.add(four, {.rows = 6, .offset_bytes = 1, .extra_columns = 5});
}

/// Prefill: up to 2,048 rows, where kernels change to tiles of rows.
void add_many_rows(const WeightFormat& format, Arithmetic arithmetic, CaseList& list) {
  list.add(single(1024, 96, format, arithmetic), {.rows = 512});
  list.add(single(256, 65, format, arithmetic), {.rows = 2048});
  list.add(single(100, 31, format, arithmetic), {.rows = 1023});
  for (const std::int64_t rows : {6, 63, 64, 65, 127, 129, 255}) {
    Linear::Spec spec = single(160, 48 + rows % 7, format, arithmetic);
    spec.add_residual = rows % 2 == 1;
    list.add(spec, {.rows = rows, .residual_is_out = true});
  }
  Linear::Spec gate = single(512, 130, format, arithmetic);
  gate.weights = 2;
  gate.outputs[1] = gate.outputs[0];
  gate.gated = true;
  gate.activation = Activation::silu;
  list.add(gate, {.rows = 300});
}

/// Rows whose blocks of 256 are partly not finite, tiny or zero: their scales are NaN or 0, the others' as ever.
OpCase<Linear> spoiled_rows_case(const WeightFormat& format) {
  constexpr std::int64_t kIn = 600;
  constexpr std::int64_t kRows = 7;
  const Linear::Spec spec = single(kIn, 33, format, Arithmetic::int8);
  const auto make = [format = &format](CaseMemory& memory) {
    constexpr std::array<float, kRows> kSpoils = {NAN, HUGE_VALF, -HUGE_VALF, 3.0e38F, 1.0e-31F, 0x1p-140F, -0.0F};
    std::vector<float> x;
    for (const float spoil : kSpoils) {
      const bool small = std::fabs(spoil) < 1.0F;  // these fill a block
      for (std::int64_t i = 0; i < kIn; ++i)
        x.push_back(i == 300 || (small && i / kPackedColumns == 1) ? spoil : static_cast<float>(i % 13 - 6));
    }
    Linear::Args args;
    args.x = memory.numbers(x, {kRows, kIn});
    args.weights[0] = memory.matrix(*format, {33, kIn}, 0.1F);
    args.out[0] = memory.output(DType::f32, {kRows, 33});
    return args;
  };
  return {cat("in=600 features=33 ", format.name, " arithmetic=int8 rows=7 spoiled blocks"), spec, make};
}

/// Packed weights: every height of a tile, sizes that fill neither strips nor blocks, panels of several parts.
void add_packed(const WeightFormat& format, CaseList& list) {
  const Arithmetic arithmetic = Arithmetic::int8;
  for (std::int64_t rows = 1; rows <= 26; ++rows) {
    Linear::Spec spec = single(352, 16 + 7 * (rows % 5), format, arithmetic);
    spec.add_residual = rows % 2 == 1;
    list.add(spec, {.rows = rows, .extra_columns = rows % 3, .residual_is_out = rows % 4 == 1});
  }
  for (const std::int64_t in : {1, 3, 255, 256, 257, 10036}) {
    for (const std::int64_t rows : {1, 3, 14}) list.add(single(in, 35, format, arithmetic), {.rows = rows});
  }
  list.add(single(300, 3, format, arithmetic), {.rows = 511});
  list.add(single(520, 1, format, arithmetic), {.rows = 600, .hostile = true});
  list.push(spoiled_rows_case(format));
}

/// Weights of one op in formats of their own, with kernels or without.
void add_mixed(CaseList& list) {
  for (const std::int64_t rows : {1, 6, 13, 40}) {
    Linear::Spec spec = single(700, 48, w4g16_format(), Arithmetic::int8);
    spec.weights = 4;
    spec.outputs[1] = {.features = 33, .format = &w6g8_format(), .has_bias = true};
    spec.outputs[2] = {.features = 20, .format = &w8_format()};
    spec.outputs[3] = {.features = 80, .format = &w4g8_format()};
    list.add(spec, {.rows = rows});
  }
  // One weight with a scale per group makes tiles of x smaller for all of the op's weights.
  for (const std::int64_t rows : {5, 7, 8, 9}) {
    for (const bool import_first : {false, true}) {
      Linear::Spec spec = single(600, 70, import_first ? p_q5_1_format() : w4g16_format(), Arithmetic::int8);
      spec.weights = 2;
      spec.outputs[1] = {.features = 37, .format = import_first ? &w8_format() : &p_q6_k_format()};
      list.add(spec, {.rows = rows});
    }
  }
}

/// Sums that meet 2^-126 from below: whether they are flushed is decided after rounding to 24 bits (fma_flushed).
OpCase<Linear> flush_border_case(const WeightFormat& format) {
  const Linear::Spec spec = single(4, 3, format, Arithmetic::bf16);
  const auto make = [format = &format](CaseMemory& memory) {
    // Lane 0 of each row: 2^-126 - part * 2^-126. Lane 1 stays zero.
    std::vector<float> x;
    for (const float part : {0x1p-26F, 0x1p-25F, 0x1.4p-25F, 0x1.8p-25F, 0x1p-24F, 0x1.2p-24F, 0x1p-23F, 1.0F})
      for (const float sign : {1.0F, -1.0F}) x.insert(x.end(), {-part * sign * 0x1p-63F, sign * 0x1p-63F, 0.0F, 0.0F});
    constexpr std::array<float, 12> kWeights = {0x1p-63F,  0x1p-63F, 1.0F, 1.0F,  -0x1p-63F, -0x1p-63F,
                                                -0x1p-70F, 1.0F,     1.0F, -1.0F, 0x1p-130F, 0x1p-126F};
    Linear::Args args;
    const auto rows = static_cast<std::int64_t>(x.size()) / 4;
    args.x = memory.numbers(x, {rows, 4});
    std::byte* weight = memory.matrix(*format, {3, 4}, 1.0F);
    format->encode_matrix(kWeights.data(), 3, 4, weight);
    args.weights[0] = weight;
    args.out[0] = memory.output(DType::f32, {rows, 3});
    return args;
  };
  return {cat("in=4 features=3 ", format.name, " arithmetic=bf16 sums at the border of subnormals"), spec, make};
}

void add_quick(const WeightFormat& format, Arithmetic arithmetic, CaseList& list) {
  Linear::Spec gate = single(256, 70, format, arithmetic);
  gate.weights = 2;
  gate.outputs[1] = gate.outputs[0];
  gate.gated = true;
  gate.activation = Activation::silu;
  gate.add_residual = true;
  for (const std::int64_t rows : {1, 5, 33}) list.add(gate, {.rows = rows, .residual_is_out = rows == 5});
  Linear::Spec odd = single(1033, 37, format, arithmetic);
  odd.outputs[0].has_bias = true;
  list.add(odd, {.rows = 1, .offset_bytes = 1});
  list.add(odd, {.rows = 12, .hostile = true});
  list.add(single(2048, 512, format, arithmetic), {.rows = 2});
}

/// Strips of floats: every height of a tile, sizes that fill neither strips nor blocks nor lanes, and strips beside
/// rows.
void add_float_strips(const WeightFormat& format, Arithmetic arithmetic, CaseList& list) {
  for (std::int64_t rows = 1; rows <= 26; ++rows) {
    Linear::Spec spec = single(352, 16 + 7 * (rows % 6), format, arithmetic);
    spec.add_residual = rows % 2 == 1;
    list.add(spec, {.rows = rows, .extra_columns = rows % 3, .residual_is_out = rows % 4 == 1});
  }
  for (const std::int64_t in : {1, 3, 255, 256, 257, 10036}) {
    for (const std::int64_t rows : {1, 2, 5, 14}) list.add(single(in, 35, format, arithmetic), {.rows = rows});
  }
  list.add(single(520, 50, format, arithmetic), {.rows = 600, .hostile = true});
  if (arithmetic != Arithmetic::bf16 || format.packed->has_scales()) return;
  for (const std::int64_t rows : {1, 4, 40}) {
    Linear::Spec spec = single(300, 33, format, arithmetic);
    spec.weights = 2;
    spec.outputs[1] = {.features = 20, .format = &bf16_format()};
    list.add(spec, {.rows = rows});
  }
}

/// Strips of imported formats: all of them once, and one of each kind of header and plane at all sizes.
void add_imports(CaseScale scale, CaseList& list) {
  for (const WeightFormat* format : weight_formats()) {
    if (packed_import_layout(*format) == nullptr) continue;
    add_quick(*format, Arithmetic::int8, list);
    const bool is_one_of_a_kind = format == &p_q8_0_format() || format == &p_q5_1_format() ||
                                  format == &p_q5_k_format() || format == &p_q6_k_format() ||
                                  format == &p_iq4_xs_format();
    if (scale == CaseScale::quick || !is_one_of_a_kind) continue;
    add_odd_sizes(*format, Arithmetic::int8, list);
    add_epilogues(*format, Arithmetic::int8, list);
    add_many_rows(*format, Arithmetic::int8, list);
  }
}

}  // namespace

std::vector<OpCase<Linear>> Linear::cases(CaseScale scale) {
  CaseList list;
  struct Pair {
    const WeightFormat& format;
    Arithmetic arithmetic;
  };
  for (const Pair& pair :
       {Pair{f32_format(), Arithmetic::f32}, Pair{bf16_format(), Arithmetic::f32}, Pair{f16_format(), Arithmetic::f32},
        Pair{bf16_format(), Arithmetic::bf16}, Pair{p_bf16_format(), Arithmetic::bf16},
        Pair{p_bf16_format(), Arithmetic::f32}, Pair{fp8g128_format(), Arithmetic::bf16},
        Pair{fp8g128_format(), Arithmetic::f32}, Pair{p_f16_format(), Arithmetic::f32},
        Pair{w8_format(), Arithmetic::int8}, Pair{w6g8_format(), Arithmetic::int8},
        Pair{w5g16_format(), Arithmetic::int8}, Pair{w4g8_format(), Arithmetic::int8},
        Pair{w4g16_format(), Arithmetic::int8}, Pair{w4g16_format(), Arithmetic::f32}}) {
    add_quick(pair.format, pair.arithmetic, list);
    if (scale == CaseScale::quick) continue;
    add_odd_sizes(pair.format, pair.arithmetic, list);
    add_epilogues(pair.format, pair.arithmetic, list);
    add_many_rows(pair.format, pair.arithmetic, list);
    if (pair.arithmetic == Arithmetic::int8) add_packed(pair.format, list);
    if (pair.format.packed != nullptr && !pair.format.packed->has_integers())
      add_float_strips(pair.format, pair.arithmetic, list);
  }
  add_imports(scale, list);
  for (const WeightFormat* format : {&bf16_format(), &p_bf16_format(), &fp8g128_format()})
    list.push(flush_border_case(*format));
  if (scale == CaseScale::full) {
    add_mixed(list);
    int number = 0;
    for (const CaseShape& shape : case_shapes()) {
      add_model(shape, number, Arithmetic::f32, list);
      add_model(shape, number, Arithmetic::bf16, list);
      ++number;
    }
  }
  return without_repeats(list.take());
}

}  // namespace corbel
