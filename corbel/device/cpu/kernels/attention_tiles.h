#pragma once
#include "corbel/device/cpu/kernels/attention_soften.h"

/// Attention in tiles of up to kTileRows queries (tokens times heads that share a key head), block by block, chunk by
/// chunk, in the order that corbel/ops/attention.h states, whatever the arithmetic of a block. Kernel sources only.
namespace corbel::cpu::CORBEL_ISA {

constexpr int64_t kBrickTokens = kWidth;
constexpr int64_t kBricks = kAttendBlock / kBrickTokens;

struct BlockPages {
  const unsigned char* keys[2];  // of the block's two pages; null where no query reaches
  const unsigned char* values[2];
  const unsigned char* scales[2];
};

/// Rows [first, first + rows) of the call's queries.
struct Tile {
  int64_t first;
  int64_t rows;
  float* q;  // memory of the arithmetic's own
  SoftmaxState chunk;
  SoftmaxState total;
  bool in_chunk;
  bool in_total;
};

/// Runs one<R>(tile) for the tile's number of rows.
template <template <int> typename One, typename Args, int R = kTileRows>
CORBEL_INLINE void by_rows(int64_t rows, const Args& args) {
  if constexpr (R > 1) {
    if (rows < R) return by_rows<One, Args, R - 1>(rows, args);
  }
  One<R>::run(args);
}

template <int R>
constexpr int kManyBricks = R <= kFewRows ? kFewRowsBricks : kTileBricks;

/// First and last slot that any query of the call sees.
struct SlotRange {
  int64_t low;
  int64_t high;
};
static inline SlotRange find_slots(const AttendArgs& args) {
  SlotRange slots{args.first_slot[0], args.last_slot[0]};
  for (int64_t t = 1; t < args.tokens; ++t) {
    slots.low = args.first_slot[t] < slots.low ? args.first_slot[t] : slots.low;
    slots.high = args.last_slot[t] > slots.high ? args.last_slot[t] : slots.high;
  }
  return slots;
}

static inline BlockPages find_pages(const AttendArgs& args, const unsigned char* base, const int32_t* page_table,
                                    int64_t begin, const SlotRange& slots) {
  BlockPages pages{};
  for (int half = 0; half < 2; ++half) {
    const int64_t first = begin + half * kAttendPage;
    if (first > slots.high || first + kAttendPage <= slots.low) continue;
    const unsigned char* const page = base + page_table[first / kAttendPage] * args.page_stride_bytes;
    pages.keys[half] = page;
    pages.values[half] = page + args.value_offset_bytes;
    pages.scales[half] = page + args.scale_offset_bytes;
  }
  return pages;
}

static inline BlockPages find_pages(const AttendArgs& args, int64_t begin, const SlotRange& slots) {
  return find_pages(args, args.pages, args.page_table, begin, slots);
}
/// What memory is to be asked for while the block at `begin` is in work.
static inline BlockPages find_ahead(const AttendArgs& args, int64_t begin, const SlotRange& slots) {
  if (args.fetches_ahead == 0) return {};
  if (args.following_pages == nullptr) return find_pages(args, begin + kAttendBlock, slots);
  return find_pages(args, args.following_pages, args.following_page_table, begin,
                    {slots.low, args.following_last_slot});
}

/// Which slots of the block at `begin` the tile's rows see.
CORBEL_INLINE Sight look(const AttendArgs& args, const Tile& tile, int64_t begin) {
  Sight sight;
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t token = (tile.first + row) / args.heads;
    const int64_t from = args.first_slot[token] - begin;
    const int64_t to = args.last_slot[token] + 1 - begin;
    sight.add(row, from > 0 ? from : 0, to < kAttendBlock ? to : kAttendBlock);
  }
  return sight;
}

static inline void begin_chunk(Tile& tile, int64_t padded) {
  tile.in_chunk = false;
  store(tile.chunk.maximum, broadcast(-__builtin_inff()));
  store(tile.chunk.sum, zero());
  for (int64_t k = 0; k < tile.rows * padded; k += kWidth) store(tile.chunk.out + k, zero());
}

/// Lanes whose sum is zero: nothing was seen, since every weight is above zero, or NaN.
CORBEL_INLINE Mask nothing_in(Floats sum) {
  return less(select(unordered(sum), broadcast(1.0F), sum), broadcast(1.0e-37F));
}

/// total joined with a later chunk, for the rows of a tile that see some of it; the first one is taken as it is.
static inline void join_chunk(const SoftmaxState& total, const SoftmaxState& later, int64_t rows, int64_t padded) {
  const Floats m1 = load(total.maximum);
  const Floats m2 = load(later.maximum);
  const Floats maximum = max(m1, m2);
  alignas(64) float a1[kWidth];
  alignas(64) float a2[kWidth];
  store(a1, exp2_below(sub(m1, maximum)));
  store(a2, exp2_below(sub(m2, maximum)));
  const Floats l1 = load(total.sum);
  const Floats l2 = load(later.sum);
  const Mask unseen = nothing_in(l2);
  const Mask first = nothing_in(l1);
  const Floats sum = fma(l1, load(a1), mul(l2, load(a2)));
  alignas(64) float skip[kWidth];
  alignas(64) float take[kWidth];
  store(skip, select(unseen, broadcast(1.0F), zero()));
  store(take, select(first, broadcast(1.0F), zero()));
  store(total.sum, select(unseen, l1, select(first, l2, sum)));
  store(total.maximum, maximum);
  for (int64_t row = 0; row < rows; ++row) {
    if (skip[row] != 0.0F) continue;
    float* const out = total.out + row * padded;
    const float* const other = later.out + row * padded;
    for (int64_t d = 0; d < padded; d += kWidth) {
      const Floats joined = fma(load(out + d), broadcast(a1[row]), mul(load(other + d), broadcast(a2[row])));
      store(out + d, take[row] != 0.0F ? load(other + d) : joined);
    }
  }
}

/// A chunk is done: part of the total.
static inline void end_chunk(Tile& tile, int64_t padded) {
  if (!tile.in_chunk) return;
  if (tile.in_total) return join_chunk(tile.total, tile.chunk, tile.rows, padded);
  const SoftmaxState taken = tile.chunk;
  tile.chunk = tile.total;
  tile.total = taken;
  tile.in_total = true;
}

/// out = total / sum for rows [first, first + rows) of the queries.
static inline void finish(const AttendArgs& args, const SoftmaxState& total, int64_t first, int64_t rows,
                          int64_t padded) {
  for (int64_t row = 0; row < rows; ++row) {
    const Floats scale = broadcast(1.0F / total.sum[row]);
    const int64_t query = first + row;
    float* const out =
        args.out + query / args.heads * args.out_token_stride + query % args.heads * args.out_head_stride;
    const float* const values = total.out + row * padded;
    int64_t d = 0;
    for (; d + kWidth <= args.head_dim; d += kWidth) store(out + d, mul(load(values + d), scale));
    if (d < args.head_dim) store_first(out + d, mul(load(values + d), scale), args.head_dim - d);
  }
}

constexpr int64_t kMaxTiles = (kAttendQueries + kTileRows - 1) / kTileRows;

/// The queries in tiles of about equal height; returns how many.
static inline int64_t make_tiles(const AttendArgs& args, Tile* tiles) {
  const int64_t queries = args.tokens * args.heads;
  const int64_t count = (queries + kTileRows - 1) / kTileRows;
  for (int64_t t = 0; t < count; ++t) {
    tiles[t].first = queries * t / count;
    tiles[t].rows = queries * (t + 1) / count - tiles[t].first;
    tiles[t].in_total = false;
  }
  return count;
}

/// A state at `memory`, which moves on behind it.
static inline SoftmaxState place_state(float*& memory, int64_t rows, int64_t padded) {
  const SoftmaxState state{memory, memory + kWidth, memory + 2 * kWidth};
  memory += 2 * kWidth + rows * padded;
  return state;
}

/// `Kind` is the arithmetic of a block:
///   Kind(args, padded, lines, memory)   takes its room at `memory`, moving it on
///   place_queries(tile, memory)         the tile's queries as it takes them, at `memory`
///   begin_block(pages, next)            what all tiles share
///   add_block(tile, begin, pages, next) adds the block at slot `begin`; `next` is to be fetched, or null
template <typename Kind>
void attend_chunk(Kind& kind, Tile* tiles, int64_t count, int64_t chunk, const SlotRange& slots) {
  const AttendArgs& args = kind.args;
  const int64_t end = chunk + kAttendChunk < slots.high + 1 ? chunk + kAttendChunk : slots.high + 1;
  for (int64_t t = 0; t < count; ++t) begin_chunk(tiles[t], kind.padded);
  for (int64_t begin = chunk; begin < end; begin += kAttendBlock) {
    const BlockPages pages = find_pages(args, begin, slots);
    const BlockPages next = find_ahead(args, begin, slots);
    kind.begin_block(pages, next);
    for (int64_t t = 0; t < count; ++t) kind.add_block(tiles[t], begin, pages, t == 0 ? next : BlockPages{});
  }
}

template <typename Kind>
void attend(const AttendArgs& args) {
  Tile tiles[kMaxTiles];
  const int64_t count = make_tiles(args, tiles);
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  const int64_t lines = (args.head_dim + 1) / 2;
  float* memory = args.scratch;
  Kind kind(args, padded, lines, memory);
  for (int64_t t = 0; t < count; ++t) {
    tiles[t].chunk = place_state(memory, tiles[t].rows, padded);
    tiles[t].total = place_state(memory, tiles[t].rows, padded);
    kind.place_queries(tiles[t], memory);
  }
  const SlotRange slots = find_slots(args);
  if (args.parts != nullptr) {
    for (int64_t chunk = args.first_chunk; chunk < args.end_chunk; ++chunk) {
      float* part = args.parts + (chunk - args.first_chunk) * args.part_floats;
      for (int64_t t = 0; t < count; ++t) tiles[t].chunk = place_state(part, tiles[t].rows, padded);
      attend_chunk(kind, tiles, count, chunk * kAttendChunk, slots);
    }
    return;
  }
  for (int64_t chunk = slots.low / kAttendChunk * kAttendChunk; chunk <= slots.high; chunk += kAttendChunk) {
    attend_chunk(kind, tiles, count, chunk, slots);
    for (int64_t t = 0; t < count; ++t) end_chunk(tiles[t], padded);
  }
  for (int64_t t = 0; t < count; ++t) finish(args, tiles[t].total, tiles[t].first, tiles[t].rows, padded);
}

}  // namespace corbel::cpu::CORBEL_ISA
