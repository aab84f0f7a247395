#include "corbel/device/cpu/kernels/activations.h"
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Row-wise kernels: norms, rotations, elementwise functions, conversions.

namespace corbel::cpu::CORBEL_ISA {
namespace {

/// body(load, store, i) for whole vectors, then once for the tail: `body` is a macro-free way to write a loop once.
template <typename Body>
CORBEL_INLINE void for_vectors(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) body(i, int64_t{kWidth});
  if (i < count) body(i, count - i);
}
void add_vectors(const float* a, const float* b, float* out, int64_t count) {
  for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    store_some(out + i, add(load_some(a + i, lanes), load_some(b + i, lanes)), lanes);
  });
}

void multiply_vectors(const float* a, const float* b, float* out, int64_t count) {
  for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    store_some(out + i, mul(load_some(a + i, lanes), load_some(b + i, lanes)), lanes);
  });
}

void floats_to_bf16(const float* from, int64_t count, void* to) {
  uint16_t* const halves = static_cast<uint16_t*>(to);
  for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    const Ints rounded = round_to_bf16(load_some(from + i, lanes));
    if (lanes == kWidth)
      store_u16(halves + i, rounded);
    else
      store_u16_first(halves + i, rounded, lanes);
  });
}

/// Rounds to bf16 and lays out, for each 32 elements, the 16 odd ones, then the 16 even ones, as f32; the tail is
/// padded with zeros.
void split_to_bf16(const float* from, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += 2 * kWidth) {
    const int64_t inside = count - i < 2 * kWidth ? count - i : 2 * kWidth;
    uint16_t pairs[2 * kWidth] = {};
    floats_to_bf16(from + i, inside, pairs);
    const Ints rounded = load_pairs(pairs);
    store(to + i, odd_of_pairs(rounded));
    store(to + i + kWidth, even_of_pairs(rounded));
  }
}

void bf16_to_floats_row(const void* from, int64_t count, float* to) {
  const uint16_t* const halves = static_cast<const uint16_t*>(from);
  for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    store_some(to + i, lanes == kWidth ? load_bf16(halves + i) : load_bf16_first(halves + i, lanes), lanes);
  });
}

void apply_function(Function function, float* values, int64_t count) {
  switch (function) {
    case Function::silu:
      for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
        store_some(values + i, silu(load_some(values + i, lanes)), lanes);
      });
      break;
    case Function::gelu_tanh:
      for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
        store_some(values + i, gelu_tanh(load_some(values + i, lanes)), lanes);
      });
      break;
    case Function::relu:
      for_vectors(count, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
        store_some(values + i, relu(load_some(values + i, lanes)), lanes);
      });
      break;
  }
}

void rms_norm_row(const float* x, const float* gamma, float* out, int64_t hidden, float eps, int plus_one) {
  Floats squares = zero();
  for_vectors(hidden, [&](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    const Floats value = load_some(x + i, lanes);
    squares = fma(value, value, squares);
  });
  const float mean = add_lanes(squares) / static_cast<float>(hidden);
  const Floats r = broadcast(1.0F / __builtin_sqrtf(mean + eps));
  const Floats shift = broadcast(1.0F);
  for_vectors(hidden, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    Floats weight = load_some(gamma + i, lanes);
    if (plus_one != 0) weight = add(shift, weight);
    store_some(out + i, mul(mul(load_some(x + i, lanes), r), weight), lanes);
  });
}

void layer_norm_row(const float* x, const float* gamma, const float* beta, float* out, int64_t hidden, float eps) {
  Floats sum = zero();
  for_vectors(hidden, [&](int64_t i, int64_t lanes)
                          __attribute__((always_inline)) { sum = add(sum, load_some(x + i, lanes)); });
  const Floats mean = broadcast(add_lanes(sum) / static_cast<float>(hidden));
  Floats squares = zero();
  for_vectors(hidden, [&](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    const Floats centred = sub(load_some(x + i, lanes), mean);
    // Lanes beyond the row take no part: there x - mean is not zero.
    const Floats kept = lanes == kWidth ? centred : select(lanes_between(0, lanes), centred, zero());
    squares = fma(kept, kept, squares);
  });
  const Floats r = broadcast(1.0F / __builtin_sqrtf(add_lanes(squares) / static_cast<float>(hidden) + eps));
  for_vectors(hidden, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    Floats value = mul(mul(sub(load_some(x + i, lanes), mean), r), load_some(gamma + i, lanes));
    if (beta != nullptr) value = add(value, load_some(beta + i, lanes));
    store_some(out + i, value, lanes);
  });
}

void rope_half_head(float* head, const float* cosines, const float* sines, int64_t half) {
  for_vectors(half, [=](int64_t i, int64_t lanes) __attribute__((always_inline)) {
    const Floats first = load_some(head + i, lanes);
    const Floats second = load_some(head + half + i, lanes);
    const Floats c = load_some(cosines + i, lanes);
    const Floats s = load_some(sines + i, lanes);
    store_some(head + i, sub(mul(first, c), mul(second, s)), lanes);
    store_some(head + half + i, add(mul(second, c), mul(first, s)), lanes);
  });
}

void rope_interleaved_head(float* head, const float* cosines, const float* sines, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float first = head[2 * i];
    const float second = head[2 * i + 1];
    head[2 * i] = first * cosines[i] - second * sines[i];
    head[2 * i + 1] = second * cosines[i] + first * sines[i];
  }
}

}  // namespace

void add_rows(Kernels& table) {
  table.apply = apply_function;
  table.add = add_vectors;
  table.multiply = multiply_vectors;
  table.to_bf16 = floats_to_bf16;
  table.split_bf16 = split_to_bf16;
  table.from_bf16 = bf16_to_floats_row;
  table.rms_norm = rms_norm_row;
  table.layer_norm = layer_norm_row;
  table.rope_half = rope_half_head;
  table.rope_interleaved = rope_interleaved_head;
}

}  // namespace corbel::cpu::CORBEL_ISA
