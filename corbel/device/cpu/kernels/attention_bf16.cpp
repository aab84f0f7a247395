#include "corbel/device/cpu/kernels/attention_lines.h"
#include "corbel/device/cpu/kernels/attention_soften.h"

// Attention over a bf16 cache: tiles of up to kTileRows queries (tokens times heads that share a key head), block by
// block, chunk by chunk, in the order that corbel/ops/attention.h states.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr int64_t kBrickTokens = kWidth;
constexpr int64_t kBricks = kAttendBlock / kBrickTokens;

struct BlockPages {
  const unsigned char* keys[2];  // of the block's two pages; null where no query reaches
  const unsigned char* values[2];
};

/// What stays the same over a call.
struct Call {
  const AttendArgs& args;
  int64_t padded;  // head_dim in whole bricks
  int64_t lines;   // of a key brick
  float* scores;
  PairSteps::Number* p;
  float* chains;  // of blocks that not all rows see whole
};

/// Rows [first, first + rows) of the call's queries.
struct Tile {
  int64_t first;
  int64_t rows;
  PairSteps::Number* q;  // [lines][rows]
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

struct ScoreRange {
  TileScores tile;
  int64_t bricks;
};
template <int R>
struct ScoreRows {
  CORBEL_INLINE void run(const ScoreRange& range) {
    TileScores tile = range.tile;
    const int64_t bytes = tile.lines * kLine;
    const auto move = [&](int64_t bricks) {
      tile.bricks += bricks * bytes;
      if (tile.ahead != nullptr) tile.ahead += bricks * bytes;
      tile.scores += bricks * kBrickTokens;
    };
    int64_t b = 0;
    for (; b + kManyBricks<R> <= range.bricks; b += kManyBricks<R>) {
      score_bricks<R, kManyBricks<R>>(tile);
      move(kManyBricks<R>);
    }
    for (; b < range.bricks; ++b) {
      score_bricks<R, 1>(tile);
      move(1);
    }
  }
};

template <int R>
struct ValueRows {
  CORBEL_INLINE void run(const TileValues& whole) {
    TileValues tile = whole;
    const auto move = [&](int64_t bricks) {
      for (int half = 0; half < 2; ++half) {
        if (tile.half[half] != nullptr) tile.half[half] += bricks * kAttendPage / 2 * kLine;
        if (tile.ahead[half] != nullptr) tile.ahead[half] += bricks * kAttendPage / 2 * kLine;
      }
      tile.out += bricks * kWidth;
    };
    const int64_t bricks = whole.padded / kWidth;
    int64_t b = 0;
    for (; b + kManyBricks<R> <= bricks; b += kManyBricks<R>) {
      add_value_bricks<R, kManyBricks<R>>(tile);
      move(kManyBricks<R>);
    }
    for (; b < bricks; ++b) {
      add_value_bricks<R, 1>(tile);
      move(1);
    }
  }
};

void score_tile(const Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
                const BlockPages& next) {
  const ArithmeticScope scope;
  constexpr int64_t kHalf = kBricks / 2;
  const int64_t first = sight.any_from / kBrickTokens;
  const int64_t end = (sight.any_to + kBrickTokens - 1) / kBrickTokens;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t begin = first > half * kHalf ? first : half * kHalf;
    const int64_t stop = end < (half + 1) * kHalf ? end : (half + 1) * kHalf;
    if (begin >= stop) continue;
    const int64_t offset = begin % kHalf * call.lines * kLine;
    const unsigned char* const ahead = next.keys[half] == nullptr ? nullptr : next.keys[half] + offset;
    const TileScores scores{tile.q, pages.keys[half] + offset, ahead, call.lines, call.scores + begin * kBrickTokens};
    by_rows<ScoreRows>(tile.rows, ScoreRange{scores, stop - begin});
  }
}

/// One row's pairs [from, to), of which a slot may be out of sight.
__attribute__((noinline)) void add_row_pairs(const Call& call, const Sight& sight, int64_t row, const BlockPages& pages,
                                             int64_t from, int64_t to) {
  constexpr int64_t kHalf = kAttendPage / 2;
  for (int64_t i = from; i < to; ++i) {
    const bool even = 2 * i >= sight.from[row] && 2 * i < sight.to[row];
    const bool odd = 2 * i + 1 >= sight.from[row] && 2 * i + 1 < sight.to[row];
    const int32_t mask = (even ? 0xffff : 0) | (odd ? -0x10000 : 0);
    const PairSteps::X x = PairSteps::number(call.p + (row * kAttendBlock / 2 + i) * PairSteps::kNumbers);
    const unsigned char* line = pages.values[i / kHalf] + i % kHalf * kLine;
    float* const chain = call.chains + row * call.padded;
    for (int64_t d = 0; d < call.padded; d += kWidth, line += kHalf * kLine) {
      Floats sum = load(chain + d);
      PairSteps::step(PairSteps::keep(PairSteps::load_line(line), mask), x, sum);
      store(chain + d, sum);
    }
  }
}

/// Pairs [from, to) that all rows see whole: out = out * a + chain, or without `a` out continues as a chain.
CORBEL_INLINE TileValues values_for_all(const Call& call, const BlockPages& pages, int64_t from, int64_t to) {
  return {.p = call.p,
          .half = {pages.values[0], pages.values[1]},
          .ahead = {nullptr, nullptr},
          .from = from,
          .to = to,
          .out = call.chains,
          .padded = call.padded,
          .a = nullptr};
}

/// The chains of all rows: what a row sees before the others, what all see, what it sees beyond them.
void make_chains(const Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages) {
  const ArithmeticScope scope;
  const int64_t all_from = (sight.all_from + 1) / 2;
  const int64_t all_to = sight.all_to / 2;
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t end = sight.from[row] < sight.to[row] ? (sight.to[row] + 1) / 2 : 0;
    add_row_pairs(call, sight, row, pages, sight.from[row] / 2, all_from < all_to ? all_from : end);
  }
  if (all_from >= all_to) return;
  by_rows<ValueRows>(tile.rows, values_for_all(call, pages, all_from, all_to));
  for (int64_t row = 0; row < tile.rows; ++row) add_row_pairs(call, sight, row, pages, all_to, (sight.to[row] + 1) / 2);
}

/// Values of a block that some row does not see whole; rows that see nothing stay as they are.
void add_border_values(const Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
                       const float* a) {
  for (int64_t k = 0; k < tile.rows * call.padded; k += kWidth) store(call.chains + k, zero());
  make_chains(call, tile, sight, pages);
  for (int64_t row = 0; row < tile.rows; ++row) {
    if (sight.from[row] >= sight.to[row]) continue;
    float* const out = tile.chunk.out + row * call.padded;
    const float* const chain = call.chains + row * call.padded;
    for (int64_t d = 0; d < call.padded; d += kWidth)
      store(out + d, fma(load(out + d), broadcast(a[row]), load(chain + d)));
  }
}

/// First and last slot that any query of the call sees.
struct SlotRange {
  int64_t low;
  int64_t high;
};
SlotRange find_slots(const AttendArgs& args) {
  SlotRange slots{args.first_slot[0], args.last_slot[0]};
  for (int64_t t = 1; t < args.tokens; ++t) {
    slots.low = args.first_slot[t] < slots.low ? args.first_slot[t] : slots.low;
    slots.high = args.last_slot[t] > slots.high ? args.last_slot[t] : slots.high;
  }
  return slots;
}

BlockPages find_pages(const AttendArgs& args, int64_t begin, const SlotRange& slots) {
  BlockPages pages{};
  for (int half = 0; half < 2; ++half) {
    const int64_t first = begin + half * kAttendPage;
    if (first > slots.high || first + kAttendPage <= slots.low) continue;
    const unsigned char* const page = args.pages + args.page_table[first / kAttendPage] * args.page_stride_bytes;
    pages.keys[half] = page;
    pages.values[half] = page + args.value_offset_bytes;
  }
  return pages;
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

void add_block(const Call& call, Tile& tile, int64_t begin, const BlockPages& pages, const BlockPages& next) {
  const Sight sight = look(call.args, tile, begin);
  if (sight.any_from >= sight.any_to) return;
  tile.in_chunk = true;
  score_tile(call, tile, sight, pages, next);
  alignas(64) float a[kWidth];
  const bool whole = sight.all_from == 0 && sight.all_to == kAttendBlock;
  soften(call.scores, call.p, tile.rows, whole ? nullptr : &sight, tile.chunk, a);
  if (!whole || PairSteps::kFlushes) return add_border_values(call, tile, sight, pages, a);
  TileValues values = values_for_all(call, pages, 0, kAttendBlock / 2);
  values.ahead[0] = next.values[0];
  values.ahead[1] = next.values[1];
  values.out = tile.chunk.out;
  values.a = a;
  by_rows<ValueRows>(tile.rows, values);
}

void begin_chunk(const Call& call, Tile& tile) {
  tile.in_chunk = false;
  store(tile.chunk.maximum, broadcast(-__builtin_inff()));
  store(tile.chunk.sum, zero());
  for (int64_t k = 0; k < tile.rows * call.padded; k += kWidth) store(tile.chunk.out + k, zero());
}

/// total joined with a later chunk, for the rows of a tile that see some of it; the first one is taken as it is.
void join_chunk(const SoftmaxState& total, const SoftmaxState& later, int64_t rows, int64_t padded) {
  const Floats m1 = load(total.maximum);
  const Floats m2 = load(later.maximum);
  const Floats maximum = max(m1, m2);
  alignas(64) float a1[kWidth];
  alignas(64) float a2[kWidth];
  store(a1, exp2_below(sub(m1, maximum)));
  store(a2, exp2_below(sub(m2, maximum)));
  const Mask unseen = less(m2, broadcast(-3.0e38F));
  const Mask first = less(m1, broadcast(-3.0e38F));
  const Floats sum = fma(load(total.sum), load(a1), mul(load(later.sum), load(a2)));
  alignas(64) float skip[kWidth];
  alignas(64) float take[kWidth];
  store(skip, select(unseen, broadcast(1.0F), zero()));
  store(take, select(first, broadcast(1.0F), zero()));
  store(total.sum, select(unseen, load(total.sum), select(first, load(later.sum), sum)));
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

/// A chunk is done: part of the total, or kept for join_parts_bf16.
void end_chunk(const Call& call, Tile& tile) {
  if (!tile.in_chunk) return;
  if (tile.in_total) return join_chunk(tile.total, tile.chunk, tile.rows, call.padded);
  const SoftmaxState taken = tile.chunk;
  tile.chunk = tile.total;
  tile.total = taken;
  tile.in_total = true;
}

/// out = total / sum for rows [first, first + rows) of the queries.
void finish(const AttendArgs& args, const SoftmaxState& total, int64_t first, int64_t rows, int64_t padded) {
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

/// q * scale, rounded to bf16, as [lines][rows] pairs; odd head_dim ends with a zero.
void pack_queries(const Call& call, const Tile& tile) {
  const AttendArgs& args = call.args;
  const Floats scale = broadcast(args.scale * ExpConstants::kLog2E);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t query = tile.first + row;
    const float* const q = args.q + query / args.heads * args.q_token_stride + query % args.heads * args.q_head_stride;
    for (int64_t d = 0; d < args.head_dim; d += kWidth) {
      const int64_t count = args.head_dim - d < kWidth ? args.head_dim - d : kWidth;
      uint16_t rounded[kWidth];
      store_u16(rounded, round_to_bf16(mul(load_first(q + d, count), scale)));
      for (int64_t i = 0; i < (count + 1) / 2; ++i)
        set_pair(tile.q + ((d / 2 + i) * tile.rows + row) * PairSteps::kNumbers, rounded[2 * i], rounded[2 * i + 1]);
    }
  }
}

constexpr int64_t kMaxTiles = (kAttendQueries + kTileRows - 1) / kTileRows;

/// The queries in tiles of about equal height; returns how many.
int64_t make_tiles(const AttendArgs& args, Tile* tiles) {
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
SoftmaxState place_state(float*& memory, int64_t rows, int64_t padded) {
  const SoftmaxState state{memory, memory + kWidth, memory + 2 * kWidth};
  memory += 2 * kWidth + rows * padded;
  return state;
}

void attend_chunk(const Call& call, Tile* tiles, int64_t count, int64_t chunk, const SlotRange& slots) {
  const AttendArgs& args = call.args;
  const int64_t end = chunk + kAttendChunk < slots.high + 1 ? chunk + kAttendChunk : slots.high + 1;
  for (int64_t t = 0; t < count; ++t) begin_chunk(call, tiles[t]);
  for (int64_t begin = chunk; begin < end; begin += kAttendBlock) {
    const BlockPages pages = find_pages(args, begin, slots);
    const BlockPages next = args.fetches_ahead != 0 ? find_pages(args, begin + kAttendBlock, slots) : BlockPages{};
    for (int64_t t = 0; t < count; ++t) add_block(call, tiles[t], begin, pages, next);
  }
}

void attend(const AttendArgs& args) {
  Tile tiles[kMaxTiles];
  const int64_t count = make_tiles(args, tiles);
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  const int64_t lines = (args.head_dim + 1) / 2;
  float* const scores = args.scratch;
  float* const p = scores + kTileRows * kAttendBlock;
  float* const chains = p + kTileRows * kAttendBlock;
  const Call call{args, padded, lines, scores, reinterpret_cast<PairSteps::Number*>(p), chains};
  float* memory = chains + kTileRows * padded;
  for (int64_t t = 0; t < count; ++t) {
    tiles[t].chunk = place_state(memory, tiles[t].rows, padded);
    tiles[t].total = place_state(memory, tiles[t].rows, padded);
    tiles[t].q = reinterpret_cast<PairSteps::Number*>(memory);
    memory += (tiles[t].rows * lines * PairSteps::kNumbers + kWidth - 1) / kWidth * kWidth;
    pack_queries(call, tiles[t]);
  }
  const SlotRange slots = find_slots(args);
  if (args.parts != nullptr) {
    for (int64_t chunk = args.first_chunk; chunk < args.end_chunk; ++chunk) {
      float* part = args.parts + (chunk - args.first_chunk) * args.part_floats;
      for (int64_t t = 0; t < count; ++t) tiles[t].chunk = place_state(part, tiles[t].rows, padded);
      attend_chunk(call, tiles, count, chunk * kAttendChunk, slots);
    }
    return;
  }
  for (int64_t chunk = slots.low / kAttendChunk * kAttendChunk; chunk <= slots.high; chunk += kAttendChunk) {
    attend_chunk(call, tiles, count, chunk, slots);
    for (int64_t t = 0; t < count; ++t) end_chunk(call, tiles[t]);
  }
  for (int64_t t = 0; t < count; ++t) finish(args, tiles[t].total, tiles[t].first, tiles[t].rows, padded);
}

void join_parts(const AttendArgs& args, float* parts, int64_t count, int finishes) {
  Tile tiles[kMaxTiles];
  const int64_t tile_count = make_tiles(args, tiles);
  const int64_t padded = (args.head_dim + kWidth - 1) / kWidth * kWidth;
  float* first = parts;
  for (int64_t t = 0; t < tile_count; ++t) {
    const int64_t offset = first - parts;
    const SoftmaxState total = place_state(first, tiles[t].rows, padded);
    for (int64_t part = 1; part < count; ++part) {
      float* later = parts + part * args.part_floats + offset;
      join_chunk(total, place_state(later, tiles[t].rows, padded), tiles[t].rows, padded);
    }
    if (finishes != 0) finish(args, total, tiles[t].first, tiles[t].rows, padded);
  }
}

}  // namespace

void add_attention_bf16(Kernels& table) {
  table.attend_bf16 = attend;
  table.join_parts = join_parts;
}

}  // namespace corbel::cpu::CORBEL_ISA
