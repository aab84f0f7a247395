#include "corbel/device/cpu/kernels/attention_blocks.h"

// Attention of a tile of queries over one head's pages, block by block, chunk by chunk, in the order that
// corbel/ops/attention.h states.

namespace corbel::cpu::CORBEL_ISA {
namespace {

// From so many queries on it pays to turn a block's keys, and to convert its values, once for all of them.
constexpr int64_t kManyQueries = 12;

CORBEL_INLINE float lane_0(Floats a) {
  float lanes[kWidth];
  store(lanes, a);
  return lanes[0];
}
CORBEL_INLINE float exp_one(float x) { return lane_0(exp(broadcast(x))); }
CORBEL_INLINE float fma_one(float a, float b, float c) { return lane_0(fma(broadcast(a), broadcast(b), broadcast(c))); }

/// Turns the scores in query.p into weights, updates maximum and sum, and scales the old output.
void soften(Query& query, int64_t padded) {
  const int64_t first = query.from / kWidth * kWidth;
  const Floats nothing = broadcast(-__builtin_inff());
  Floats most = nothing;
  for (int64_t j = first; j < query.to; j += kWidth)
    most = max(most, select(lanes_between(query.from - j, query.to - j), load(query.p + j), nothing));
  const float found = max_lane(most);
  const float maximum = found > query.maximum ? found : query.maximum;
  const float a = query.maximum == -__builtin_inff() ? 0.0F : exp_one(query.maximum - maximum);
  Floats sums = zero();
  for (int64_t j = first; j < query.to; j += kWidth) {
    const Floats weight = exp(sub(load(query.p + j), broadcast(maximum)));
    const Floats visible = select(lanes_between(query.from - j, query.to - j), weight, zero());
    store(query.p + j, visible);
    sums = add(sums, visible);
  }
  query.maximum = maximum;
  query.sum = fma_one(query.sum, a, add_lanes(sums));
  for (int64_t d = 0; d < padded; d += kWidth) store(query.chunk_out + d, mul(load(query.chunk_out + d), broadcast(a)));
}

/// Some queries, and the slots of the current block that any of them sees, and that all of them see.
struct Group {
  Query* const* queries;
  int64_t count;
  int64_t any_from = kAttendBlock;
  int64_t any_to = 0;
  int64_t all_from = 0;
  int64_t all_to = kAttendBlock;
};

CORBEL_INLINE Group make_group(Query* const* queries, int64_t count) {
  Group group{queries, count};
  for (int64_t i = 0; i < count; ++i) {
    const Query& query = *queries[i];
    group.any_from = query.from < group.any_from ? query.from : group.any_from;
    group.any_to = query.to > group.any_to ? query.to : group.any_to;
    group.all_from = query.from > group.all_from ? query.from : group.all_from;
    group.all_to = query.to < group.all_to ? query.to : group.all_to;
  }
  return group;
}

template <int kQueries>
__attribute__((noinline)) void score_group(Query* const* queries, const BlockRows& keys, int64_t head_dim,
                                           float scale) {
  const Group group = make_group(queries, kQueries);
  for (int64_t j = group.any_from / kWidth * kWidth; j < group.any_to; j += kWidth)
    score_16_keys<kQueries>(queries, keys, j, head_dim, scale);
}

template <int kQueries>
void add_group_values(Query* const* queries, const BlockRows& values, int64_t head_dim) {
  const Group group = make_group(queries, kQueries);
  if (group.all_from >= group.all_to) {
    for (int i = 0; i < kQueries; ++i)
      add_all_values<1>(queries + i, values, head_dim, queries[i]->from, queries[i]->to);
    return;
  }
  // Ascending for each query: what it sees before the others, what all see, what it sees beyond them.
  for (int i = 0; i < kQueries; ++i) add_all_values<1>(queries + i, values, head_dim, queries[i]->from, group.all_from);
  add_all_values<kQueries>(queries, values, head_dim, group.all_from, group.all_to);
  for (int i = 0; i < kQueries; ++i) add_all_values<1>(queries + i, values, head_dim, group.all_to, queries[i]->to);
}

/// Element d of 16 neighbouring keys side by side: turned[d][j], for the keys that the group sees.
void turn_keys(const Group& group, const BlockRows& keys, int64_t head_dim, float* turned) {
  for (int64_t j = group.any_from / kWidth * kWidth; j < group.any_to; j += kWidth) {
    const unsigned char* const key = BlockRows::row(keys, j);
    for (int64_t d = 0; d < head_dim; d += kWidth) {
      Floats square[kWidth];
      for (int k = 0; k < kWidth; ++k) {
        const unsigned char* const from = key + k * keys.row_bytes + d * kElement;
        square[k] = head_dim - d >= kWidth ? read(from) : read_first(from, head_dim - d);
      }
      transpose(square);
      for (int k = 0; k < kWidth; ++k) store(turned + (d + k) * kAttendBlock + j, square[k]);
    }
  }
}

/// Scores of all queries of the group from turned keys.
void score_many(const Group& group, const float* turned, int64_t padded, float scale) {
  constexpr int64_t kStep = kTreeVectors * kWidth;
  for (int64_t j = group.any_from / kStep * kStep; j < group.any_to; j += kStep) {
    for (int64_t i = 0; i < group.count; i += kTreeQueries) {
      const float* q[kTreeQueries];
      float* p[kTreeQueries];
      for (int64_t k = 0; k < kTreeQueries; ++k) {
        const Query& query = *group.queries[i + k < group.count ? i + k : i];  // the odd one out is done twice
        q[k] = query.q;
        p[k] = query.p;
      }
      score_turned(q, p, turned, j, padded, scale);
    }
  }
}

void add_values_in_groups(const Group& group, const BlockRows& values, int64_t head_dim) {
  int64_t i = 0;
  for (; i + kGroupQueries <= group.count; i += kGroupQueries)
    add_group_values<kGroupQueries>(group.queries + i, values, head_dim);
  for (; i < group.count; ++i) add_group_values<1>(group.queries + i, values, head_dim);
}

/// The block's keys and values for all queries that see some of it.
void add_block(const AttendArgs& args, const Group& group, const BlockRows& keys, float* memory) {
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  BlockRows values = keys;
  for (const unsigned char*& half : values.half)
    if (half != nullptr) half += args.value_offset_bytes;
  const bool many = group.count >= kManyQueries;
  if (many) {
    turn_keys(group, keys, args.head_dim, memory);
    score_many(group, memory, padded, args.scale);
  } else {
    int64_t i = 0;
    for (; i + kGroupQueries <= group.count; i += kGroupQueries)
      score_group<kGroupQueries>(group.queries + i, keys, args.head_dim, args.scale);
    for (; i < group.count; ++i) score_group<1>(group.queries + i, keys, args.head_dim, args.scale);
  }
  for (int64_t i = 0; i < group.count; ++i) soften(*group.queries[i], padded);
  add_values_in_groups(group, values, args.head_dim);
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

/// Lays the queries out in the scratch and returns what is left of it.
float* make_queries(const AttendArgs& args, int64_t padded, Query* queries) {
  float* scratch = args.scratch;
  for (int64_t i = 0; i < args.tokens * args.heads; ++i) {
    Query& query = queries[i];
    const int64_t token = i / args.heads;
    const int64_t head = i % args.heads;
    const float* const q = args.q + token * args.q_token_stride + head * args.q_head_stride;
    query.out = args.out + token * args.out_token_stride + head * args.out_head_stride;
    query.in_total = false;
    query.q = scratch;  // a copy: padded with zeros, and out may be q
    int64_t d = 0;
    for (; d + kWidth <= args.head_dim; d += kWidth) store(scratch + d, load(q + d));
    if (d < args.head_dim) store(scratch + d, load_first(q + d, args.head_dim - d));
    query.p = scratch + padded;
    query.chunk_out = query.p + kAttendBlock;
    query.total_out = query.chunk_out + padded;
    scratch = query.total_out + padded;
  }
  return scratch;
}

/// Finds the queries that see some of the block that begins at slot `begin`.
int64_t find_seeing(const AttendArgs& args, int64_t begin, Query* queries, Query** seeing) {
  int64_t count = 0;
  for (int64_t i = 0; i < args.tokens * args.heads; ++i) {
    const int64_t token = i / args.heads;
    const int64_t from = args.first_slot[token] - begin;
    const int64_t to = args.last_slot[token] + 1 - begin;
    queries[i].from = from > 0 ? from : 0;
    queries[i].to = to < kAttendBlock ? to : kAttendBlock;
    if (queries[i].from >= queries[i].to) continue;
    queries[i].in_chunk = true;
    seeing[count++] = &queries[i];
  }
  return count;
}

/// Both halves of a block; the page table has no entry for a half that nobody sees.
BlockRows find_keys(const AttendArgs& args, const Group& group, int64_t begin) {
  BlockRows keys{{nullptr, nullptr}, args.head_dim * kElement};
  const int64_t first_page = begin / kAttendPage;
  if (group.any_from < kAttendPage) keys.half[0] = args.pages + args.page_table[first_page] * args.page_stride_bytes;
  if (group.any_to > kAttendPage) keys.half[1] = args.pages + args.page_table[first_page + 1] * args.page_stride_bytes;
  return keys;
}

void attend(const AttendArgs& args) {
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  Query queries[kAttendQueries];
  Query* seeing[kAttendQueries];
  const int64_t count = args.tokens * args.heads;
  float* const memory = make_queries(args, padded, queries);
  int64_t low = args.first_slot[0];
  int64_t high = args.last_slot[0];
  for (int64_t t = 1; t < args.tokens; ++t) {
    low = args.first_slot[t] < low ? args.first_slot[t] : low;
    high = args.last_slot[t] > high ? args.last_slot[t] : high;
  }
  for (int64_t chunk = low / kAttendChunk * kAttendChunk; chunk <= high; chunk += kAttendChunk) {
    for (int64_t i = 0; i < count; ++i) begin_chunk(queries[i], padded);
    for (int64_t begin = chunk; begin < chunk + kAttendChunk && begin <= high; begin += kAttendBlock) {
      const Group group = make_group(seeing, find_seeing(args, begin, queries, seeing));
      if (group.count > 0) add_block(args, group, find_keys(args, group, begin), memory);
    }
    for (int64_t i = 0; i < count; ++i) end_chunk(queries[i], padded);
  }
  for (int64_t i = 0; i < count; ++i) finish(queries[i], args.head_dim);
}

}  // namespace

void add_attention(Kernels& table) { table.attend_f32 = attend; }

}  // namespace corbel::cpu::CORBEL_ISA
