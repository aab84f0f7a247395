#include "corbel/device/cpu/kernels/kernels.h"
#include "corbel/device/cpu/kernels/simd.h"

// Attention of a tile of queries over one head's pages, block by block, chunk by chunk, in the order that
// corbel/ops/attention.h states.

namespace corbel::cpu::CORBEL_ISA {
namespace {

/// Elements of a page in its stored type.
struct F32Cache {
  static constexpr int64_t kBytes = 4;
  CORBEL_INLINE Floats read(const unsigned char* p) { return load(reinterpret_cast<const float*>(p)); }
  CORBEL_INLINE Floats read_first(const unsigned char* p, int64_t n) {
    return load_first(reinterpret_cast<const float*>(p), n);
  }
};
struct Bf16Cache {
  static constexpr int64_t kBytes = 2;
  CORBEL_INLINE Floats read(const unsigned char* p) { return load_bf16(p); }
  CORBEL_INLINE Floats read_first(const unsigned char* p, int64_t n) { return load_bf16_first(p, n); }
};

/// What one query carries from block to block.
struct Query {
  const float* q;
  float* out;
  float* p;            // [kAttendBlock] weights of the current block
  float* chunk_out;    // [padded head_dim]
  float* total_out;    // [padded head_dim]
  float maximum;       // of the chunk
  float sum;
  float total_maximum;  // of the chunks joined so far
  float total_sum;
  bool in_chunk;  // the chunk has a visible slot
  bool in_total;
};

/// Addresses of one key block's two pages; a page that no query reaches is null.
struct Block {
  const unsigned char* page[2];
  int64_t begin;  // first slot
};

CORBEL_INLINE float lane_0(Floats a) {
  float lanes[kWidth];
  store(lanes, a);
  return lanes[0];
}
CORBEL_INLINE float exp_one(float x) { return lane_0(exp(broadcast(x))); }
CORBEL_INLINE float fma_one(float a, float b, float c) { return lane_0(fma(broadcast(a), broadcast(b), broadcast(c))); }

/// softmax_scale * q . key for 16 neighbouring keys.
template <typename Cache>
CORBEL_INLINE Floats scores_of_16(const float* q, const unsigned char* keys, int64_t head_dim, float scale) {
  constexpr int kTogether = 4;
  const int64_t key_bytes = head_dim * Cache::kBytes;
  Floats sums[kWidth];
  for (int first = 0; first < kWidth; first += kTogether) {
    const unsigned char* const key = keys + first * key_bytes;
    Floats sum[kTogether] = {zero(), zero(), zero(), zero()};
    int64_t d = 0;
    for (; d + kWidth <= head_dim; d += kWidth) {
      const Floats qd = load(q + d);
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k) sum[k] = fma(qd, Cache::read(key + k * key_bytes + d * Cache::kBytes), sum[k]);
    }
    if (d < head_dim) {
      const Floats qd = load_first(q + d, head_dim - d);
#pragma GCC unroll 4
      for (int k = 0; k < kTogether; ++k)
        sum[k] = fma(qd, Cache::read_first(key + k * key_bytes + d * Cache::kBytes, head_dim - d), sum[k]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < kTogether; ++k) sums[first + k] = sum[k];
  }
  return mul(broadcast(scale), add_lanes_of_16(sums));
}

/// Turns the scores in query.p into weights, and updates maximum and sum; returns what the old output is scaled by.
/// Slots from <= j < to of the block are visible.
CORBEL_INLINE float soften(Query& query, int64_t from, int64_t to) {
  const int64_t first = from / kWidth * kWidth;
  const Floats nothing = broadcast(-__builtin_inff());
  Floats most = nothing;
  for (int64_t j = first; j < to; j += kWidth)
    most = max(most, select(lanes_between(from - j, to - j), load(query.p + j), nothing));
  const float found = max_lane(most);
  const float maximum = found > query.maximum ? found : query.maximum;
  const float a = query.maximum == -__builtin_inff() ? 0.0F : exp_one(query.maximum - maximum);
  Floats sums = zero();
  for (int64_t j = first; j < to; j += kWidth) {
    const Floats weight = exp(sub(load(query.p + j), broadcast(maximum)));
    const Floats visible = select(lanes_between(from - j, to - j), weight, zero());
    store(query.p + j, visible);
    sums = add(sums, visible);
  }
  query.maximum = maximum;
  query.sum = fma_one(query.sum, a, add_lanes(sums));
  return a;
}

/// out[d] = out[d] * a, then + p[j] * value[j][d] for the visible slots ascending; kVectors times 16 values of d.
template <typename Cache, int kVectors>
CORBEL_INLINE void add_values(float* out, float a, const float* p, const Block& block, int64_t values_offset,
                              int64_t value_bytes, int64_t from, int64_t to) {
  Floats sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) sum[v] = mul(load(out + v * kWidth), broadcast(a));
  for (int half = 0; half < 2; ++half) {
    const int64_t begin = from > half * kAttendPage ? from : half * kAttendPage;
    const int64_t end = to < (half + 1) * kAttendPage ? to : (half + 1) * kAttendPage;
    const unsigned char* value = block.page[half] + values_offset + (begin - half * kAttendPage) * value_bytes;
    for (int64_t j = begin; j < end; ++j, value += value_bytes) {
      const Floats weight = broadcast(p[j]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v)
        sum[v] = fma(weight, Cache::read(value + v * kWidth * Cache::kBytes), sum[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) store(out + v * kWidth, sum[v]);
}

/// The same for the last, partial vector of d.
template <typename Cache>
void add_values_tail(float* out, float a, const float* p, const Block& block, int64_t values_offset, int64_t value_bytes,
                     int64_t from, int64_t to, int64_t lanes) {
  Floats sum = mul(load(out), broadcast(a));
  for (int64_t j = from; j < to; ++j) {
    const unsigned char* const value = block.page[j / kAttendPage] + values_offset + j % kAttendPage * value_bytes;
    sum = fma(broadcast(p[j]), Cache::read_first(value, lanes), sum);
  }
  store(out, sum);
}

template <typename Cache>
void add_block_values(const AttendArgs& args, const Query& query, float a, const Block& block, int64_t from,
                      int64_t to) {
  const int64_t value_bytes = args.head_dim * Cache::kBytes;
  int64_t d = 0;
  for (; d + 4 * kWidth <= args.head_dim; d += 4 * kWidth) {
    add_values<Cache, 4>(query.chunk_out + d, a, query.p, block, args.value_offset_bytes + d * Cache::kBytes,
                         value_bytes, from, to);
  }
  for (; d + kWidth <= args.head_dim; d += kWidth) {
    add_values<Cache, 1>(query.chunk_out + d, a, query.p, block, args.value_offset_bytes + d * Cache::kBytes,
                         value_bytes, from, to);
  }
  if (d < args.head_dim) {
    add_values_tail<Cache>(query.chunk_out + d, a, query.p, block, args.value_offset_bytes + d * Cache::kBytes,
                           value_bytes, from, to, args.head_dim - d);
  }
}

template <typename Cache>
void add_block(const AttendArgs& args, Query& query, const Block& block, int64_t from, int64_t to) {
  for (int64_t j = from / kWidth * kWidth; j < to; j += kWidth) {
    const unsigned char* const keys =
        block.page[j / kAttendPage] + j % kAttendPage * args.head_dim * Cache::kBytes;
    store(query.p + j, scores_of_16<Cache>(query.q, keys, args.head_dim, args.scale));
  }
  const float a = soften(query, from, to);
  add_block_values<Cache>(args, query, a, block, from, to);
}

void begin_chunk(Query& query, int64_t padded) {
  query.maximum = -__builtin_inff();
  query.sum = 0.0F;
  query.in_chunk = false;
  for (int64_t d = 0; d < padded; d += kWidth) store(query.chunk_out + d, zero());
}

/// Joins the chunk into the total; the first one with a visible slot is taken as it is.
void end_chunk(Query& query, int64_t padded) {
  if (!query.in_chunk) return;
  if (!query.in_total) {
    query.in_total = true;
    query.total_maximum = query.maximum;
    query.total_sum = query.sum;
    float* const taken = query.chunk_out;
    query.chunk_out = query.total_out;
    query.total_out = taken;
    return;
  }
  const float maximum = query.maximum > query.total_maximum ? query.maximum : query.total_maximum;
  const float a1 = exp_one(query.total_maximum - maximum);
  const float a2 = exp_one(query.maximum - maximum);
  query.total_maximum = maximum;
  query.total_sum = fma_one(query.total_sum, a1, query.sum * a2);
  for (int64_t d = 0; d < padded; d += kWidth) {
    const Floats later = mul(load(query.chunk_out + d), broadcast(a2));
    store(query.total_out + d, fma(load(query.total_out + d), broadcast(a1), later));
  }
}

void finish(const Query& query, int64_t head_dim) {
  const Floats scale = broadcast(1.0F / query.total_sum);
  int64_t d = 0;
  for (; d + kWidth <= head_dim; d += kWidth) store(query.out + d, mul(load(query.total_out + d), scale));
  if (d < head_dim) store_first(query.out + d, mul(load(query.total_out + d), scale), head_dim - d);
}

int64_t make_queries(const AttendArgs& args, int64_t padded, Query* queries) {
  float* scratch = args.scratch;
  const int64_t count = args.tokens * args.heads;
  for (int64_t i = 0; i < count; ++i) {
    Query& query = queries[i];
    const int64_t token = i / args.heads;
    const int64_t head = i % args.heads;
    query.q = args.q + token * args.q_token_stride + head * args.q_head_stride;
    query.out = args.out + token * args.out_token_stride + head * args.out_head_stride;
    query.in_total = false;
    query.p = scratch;
    query.chunk_out = scratch + kAttendBlock;
    query.total_out = query.chunk_out + padded;
    scratch = query.total_out + padded;
  }
  return count;
}

template <typename Cache>
void attend(const AttendArgs& args) {
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  Query queries[kAttendQueries];
  const int64_t count = make_queries(args, padded, queries);
  int64_t low = args.first_slot[0];
  int64_t high = args.last_slot[0];
  for (int64_t t = 1; t < args.tokens; ++t) {
    low = args.first_slot[t] < low ? args.first_slot[t] : low;
    high = args.last_slot[t] > high ? args.last_slot[t] : high;
  }
  for (int64_t chunk = low / kAttendChunk * kAttendChunk; chunk <= high; chunk += kAttendChunk) {
    for (int64_t i = 0; i < count; ++i) begin_chunk(queries[i], padded);
    for (int64_t begin = chunk; begin < chunk + kAttendChunk && begin <= high; begin += kAttendBlock) {
      if (begin + kAttendBlock <= low) continue;
      Block block{{nullptr, nullptr}, begin};
      for (int64_t half = 0; half < 2; ++half) {
        if (begin + half * kAttendPage > high || begin + (half + 1) * kAttendPage <= low) continue;
        block.page[half] = args.pages + args.page_table[begin / kAttendPage + half] * args.page_stride_bytes;
      }
      for (int64_t i = 0; i < count; ++i) {
        const int64_t token = i / args.heads;
        const int64_t from = args.first_slot[token] > begin ? args.first_slot[token] - begin : 0;
        const int64_t past = args.last_slot[token] + 1 - begin;
        const int64_t to = past < kAttendBlock ? past : kAttendBlock;
        if (from >= to) continue;
        queries[i].in_chunk = true;
        add_block<Cache>(args, queries[i], block, from, to);
      }
    }
    for (int64_t i = 0; i < count; ++i) end_chunk(queries[i], padded);
  }
  for (int64_t i = 0; i < count; ++i) finish(queries[i], args.head_dim);
}

}  // namespace

void add_attention(Kernels& table) {
  table.attend_f32 = attend<F32Cache>;
  table.attend_bf16 = attend<Bf16Cache>;
}

}  // namespace corbel::cpu::CORBEL_ISA
