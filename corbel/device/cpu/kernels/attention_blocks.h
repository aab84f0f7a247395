#pragma once
#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

/// One key block of an f32 cache against a group of queries: scores, and weighted sums of values. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

#if defined(__AVX512F__)
constexpr int kGroupQueries = 4;  // 4 queries x 4 vectors of sums + 4 values + 1 weight: 21 of 32 registers
constexpr int kGroupVectors = 4;
constexpr int kTreeQueries = 2;  // 2 x 2 leaves and up to 4 levels of them waiting in the tree: 20 of 32 registers
constexpr int kTreeVectors = 2;
#elif defined(__AVX2__)
constexpr int kGroupQueries = 2;
constexpr int kGroupVectors = 2;
constexpr int kTreeQueries = 1;
constexpr int kTreeVectors = 1;
#else
constexpr int kGroupQueries = 2;
constexpr int kGroupVectors = 1;
constexpr int kTreeQueries = 1;
constexpr int kTreeVectors = 1;
#endif

constexpr int64_t kElement = 4;  // bytes
CORBEL_INLINE Floats read(const unsigned char* p) { return load(reinterpret_cast<const float*>(p)); }
CORBEL_INLINE Floats read_first(const unsigned char* p, int64_t n) {
  return load_first(reinterpret_cast<const float*>(p), n);
}

/// What one query carries from block to block.
struct Query {
  const float* q;
  float* out;
  float* p;          // [kAttendBlock] scores, then weights of the current block
  float* chunk_out;  // [padded head_dim]
  float* total_out;  // [padded head_dim]
  float maximum;     // of the chunk
  float sum;
  float total_maximum;  // of the chunks joined so far
  float total_sum;
  int64_t from;  // visible slots of the current block: from <= j < to
  int64_t to;
  bool in_chunk;  // the chunk has a visible slot
  bool in_total;
};

/// The rows (keys or values) of one block, in its two halves; a half that no query reaches is null.
struct BlockRows {
  const unsigned char* half[2];
  int64_t row_bytes;
  CORBEL_INLINE const unsigned char* row(const BlockRows& rows, int64_t j) {
    return rows.half[j / kAttendPage] + j % kAttendPage * rows.row_bytes;
  }
};

/// p[j] = scale * q . key j for the 16 keys from j on, for kQueries queries: keys as they lie in the page.
template <int kQueries>
CORBEL_INLINE void score_16_keys(Query* const* queries, const BlockRows& keys, int64_t j, int64_t head_dim,
                                 float scale) {
  constexpr int kKeys = 4;
  Floats sums[kQueries][kWidth];
  for (int first = 0; first < kWidth; first += kKeys) {
    const unsigned char* const key = BlockRows::row(keys, j + first);
    Floats sum[kQueries][kKeys];
#pragma GCC unroll 4
    for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 4
      for (int k = 0; k < kKeys; ++k) sum[i][k] = zero();
    int64_t d = 0;
    for (; d + kWidth <= head_dim; d += kWidth) {
      Floats values[kKeys];
#pragma GCC unroll 4
      for (int k = 0; k < kKeys; ++k) values[k] = read(key + k * keys.row_bytes + d * kElement);
#pragma GCC unroll 4
      for (int i = 0; i < kQueries; ++i) {
        const Floats qd = load(queries[i]->q + d);
#pragma GCC unroll 4
        for (int k = 0; k < kKeys; ++k) sum[i][k] = fma(qd, values[k], sum[i][k]);
      }
    }
    if (d < head_dim) {
      for (int i = 0; i < kQueries; ++i) {
        const Floats qd = load_first(queries[i]->q + d, head_dim - d);
        for (int k = 0; k < kKeys; ++k) {
          const unsigned char* const tail = key + k * keys.row_bytes + d * kElement;
          sum[i][k] = fma(qd, read_first(tail, head_dim - d), sum[i][k]);
        }
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 4
      for (int k = 0; k < kKeys; ++k) sums[i][first + k] = sum[i][k];
  }
#pragma GCC unroll 4
  for (int i = 0; i < kQueries; ++i) store(queries[i]->p + j, mul(broadcast(scale), add_lanes_of_16(sums[i])));
}

/// Sums of kTreeQueries queries with kTreeVectors x 16 keys.
struct TreeSums {
  Floats sum[kTreeQueries][kTreeVectors];
};

/// Lane kLane of the dot products: elements kLane, kLane + 16, ... of `padded` in ascending order. `keys` is
/// [padded][kAttendBlock]: element d of neighbouring keys lies side by side.
template <int kLane>
CORBEL_INLINE TreeSums sum_lane(const float* const* q, const float* keys, int64_t padded) {
  TreeSums sums;
#pragma GCC unroll 4
  for (int i = 0; i < kTreeQueries; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kTreeVectors; ++v) sums.sum[i][v] = zero();
  for (int64_t d = kLane; d < padded; d += kWidth) {
    Floats values[kTreeVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTreeVectors; ++v) values[v] = load(keys + d * kAttendBlock + v * kWidth);
#pragma GCC unroll 4
    for (int i = 0; i < kTreeQueries; ++i) {
      const Floats qd = broadcast(q[i][d]);
#pragma GCC unroll 4
      for (int v = 0; v < kTreeVectors; ++v) sums.sum[i][v] = fma(qd, values[v], sums.sum[i][v]);
    }
  }
  return sums;
}

/// The tree of 8+8, 4+4, 2+2, 1+1 over the lanes kLane, kLane + kSpan, kLane + 2 kSpan, ...: depth first, so that few
/// sums wait at a time.
template <int kLane, int kSpan>
CORBEL_INLINE TreeSums sum_tree(const float* const* q, const float* keys, int64_t padded) {
  if constexpr (kSpan == kWidth) {
    return sum_lane<kLane>(q, keys, padded);
  } else {
    const TreeSums low = sum_tree<kLane, 2 * kSpan>(q, keys, padded);
    const TreeSums high = sum_tree<kLane + kSpan, 2 * kSpan>(q, keys, padded);
    TreeSums sums;
#pragma GCC unroll 4
    for (int i = 0; i < kTreeQueries; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kTreeVectors; ++v) sums.sum[i][v] = add(low.sum[i][v], high.sum[i][v]);
    return sums;
  }
}

/// p of kTreeQueries queries for the slots j .. j + 16 kTreeVectors - 1, from keys turned by turn_keys.
/// q must hold `padded` elements, zeros beyond head_dim.
__attribute__((noinline)) static void score_turned(const float* const* q, float* const* p, const float* keys, int64_t j,
                                                   int64_t padded, float scale) {
  const TreeSums sums = sum_tree<0, 1>(q, keys + j, padded);
#pragma GCC unroll 4
  for (int i = 0; i < kTreeQueries; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kTreeVectors; ++v) store(p[i] + j + v * kWidth, mul(broadcast(scale), sums.sum[i][v]));
}

/// out[d] += p[j] * value[j][d] for from <= j < to ascending, for kQueries queries and kVectors x 16 values of d.
template <int kQueries, int kVectors>
CORBEL_INLINE void add_values(Query* const* queries, const BlockRows& values, int64_t d, int64_t from, int64_t to) {
  Floats sum[kQueries][kVectors];
#pragma GCC unroll 4
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[i][v] = load(queries[i]->chunk_out + d + v * kWidth);
  for (int half = 0; half < 2; ++half) {
    const int64_t begin = from > half * kAttendPage ? from : half * kAttendPage;
    const int64_t end = to < (half + 1) * kAttendPage ? to : (half + 1) * kAttendPage;
    if (begin >= end) continue;
    const unsigned char* value = BlockRows::row(values, begin) + d * kElement;
    for (int64_t j = begin; j < end; ++j, value += values.row_bytes) {
      Floats row[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) row[v] = read(value + v * kWidth * kElement);
#pragma GCC unroll 4
      for (int i = 0; i < kQueries; ++i) {
        const Floats weight = broadcast(queries[i]->p[j]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[i][v] = fma(weight, row[v], sum[i][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(queries[i]->chunk_out + d + v * kWidth, sum[i][v]);
}

/// The same for the last, partial vector of d.
void add_values_tail(const Query& query, const BlockRows& values, int64_t d, int64_t from, int64_t to, int64_t lanes) {
  Floats sum = load(query.chunk_out + d);
  for (int64_t j = from; j < to; ++j)
    sum = fma(broadcast(query.p[j]), read_first(BlockRows::row(values, j) + d * kElement, lanes), sum);
  store(query.chunk_out + d, sum);
}

template <int kQueries>
__attribute__((noinline)) void add_all_values(Query* const* queries, const BlockRows& values, int64_t head_dim,
                                              int64_t from, int64_t to) {
  if (from >= to) return;
  int64_t d = 0;
  for (; d + kGroupVectors * kWidth <= head_dim; d += kGroupVectors * kWidth)
    add_values<kQueries, kGroupVectors>(queries, values, d, from, to);
  for (; d + kWidth <= head_dim; d += kWidth) add_values<kQueries, 1>(queries, values, d, from, to);
  if (d == head_dim) return;
  for (int i = 0; i < kQueries; ++i) add_values_tail(*queries[i], values, d, from, to, head_dim - d);
}

}  // namespace corbel::cpu::CORBEL_ISA
