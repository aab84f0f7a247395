#include "corbel/device/cpu/kernels/attention_tiles.h"

// Attention over a bf16 cache.

namespace corbel::cpu::CORBEL_ISA {
namespace {

/// What stays the same over a call.
struct Bf16Call {
  const AttendArgs& args;
  int64_t padded;  // head_dim in whole bricks
  int64_t lines;   // of a key brick
  float* scores;
  PairSteps::Number* p;
  float* chains;  // of blocks that not all rows see whole

  Bf16Call(const AttendArgs& call_args, int64_t padded_dim, int64_t key_lines, float*& memory)
      : args(call_args), padded(padded_dim), lines(key_lines), scores(memory) {
    p = reinterpret_cast<PairSteps::Number*>(scores + kTileRows * kAttendBlock);
    chains = scores + 2 * kTileRows * kAttendBlock;
    memory = chains + kTileRows * padded;
  }
  void place_queries(Tile& tile, float*& memory) const;
  void begin_block(const BlockPages&, const BlockPages&) const {}
  void add_block(Tile& tile, int64_t begin, const BlockPages& pages, const BlockPages& next) const;
};
PairSteps::Number* numbers_of(const Tile& tile) { return reinterpret_cast<PairSteps::Number*>(tile.q); }

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

void score_tile(const Bf16Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
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
    const TileScores scores{numbers_of(tile), pages.keys[half] + offset, ahead, call.lines,
                            call.scores + begin * kBrickTokens};
    by_rows<ScoreRows>(tile.rows, ScoreRange{scores, stop - begin});
  }
}

/// One row's pairs [from, to), of which a slot may be out of sight.
__attribute__((noinline)) void add_row_pairs(const Bf16Call& call, const Sight& sight, int64_t row,
                                             const BlockPages& pages, int64_t from, int64_t to) {
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
CORBEL_INLINE TileValues values_for_all(const Bf16Call& call, const BlockPages& pages, const BlockPages& next,
                                        int64_t from, int64_t to) {
  return {.p = call.p,
          .half = {pages.values[0], pages.values[1]},
          .ahead = {next.values[0], next.values[1]},
          .from = from,
          .to = to,
          .out = call.chains,
          .padded = call.padded,
          .a = nullptr};
}

/// The chains of all rows: what a row sees before the others, what all see, what it sees beyond them.
void make_chains(const Bf16Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
                 const BlockPages& next) {
  const ArithmeticScope scope;
  const int64_t all_from = (sight.all_from + 1) / 2;
  const int64_t all_to = sight.all_to / 2;
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t end = sight.from[row] < sight.to[row] ? (sight.to[row] + 1) / 2 : 0;
    add_row_pairs(call, sight, row, pages, sight.from[row] / 2, all_from < all_to ? all_from : end);
  }
  if (all_from >= all_to) return;
  by_rows<ValueRows>(tile.rows, values_for_all(call, pages, next, all_from, all_to));
  for (int64_t row = 0; row < tile.rows; ++row) add_row_pairs(call, sight, row, pages, all_to, (sight.to[row] + 1) / 2);
}

/// Values of a block that some row does not see whole; rows that see nothing stay as they are.
void add_border_values(const Bf16Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
                       const BlockPages& next, const float* a) {
  for (int64_t k = 0; k < tile.rows * call.padded; k += kWidth) store(call.chains + k, zero());
  make_chains(call, tile, sight, pages, next);
  for (int64_t row = 0; row < tile.rows; ++row) {
    if (sight.from[row] >= sight.to[row]) continue;
    float* const out = tile.chunk.out + row * call.padded;
    const float* const chain = call.chains + row * call.padded;
    for (int64_t d = 0; d < call.padded; d += kWidth)
      store(out + d, fma(load(out + d), broadcast(a[row]), load(chain + d)));
  }
}

void Bf16Call::add_block(Tile& tile, int64_t begin, const BlockPages& pages, const BlockPages& next) const {
  const Bf16Call& call = *this;
  const Sight sight = look(call.args, tile, begin);
  if (sight.any_from >= sight.any_to) return;
  tile.in_chunk = true;
  score_tile(call, tile, sight, pages, next);
  alignas(64) float a[kWidth];
  const bool whole = sight.all_from == 0 && sight.all_to == kAttendBlock;
  soften(call.scores, call.p, tile.rows, whole ? nullptr : &sight, tile.chunk, a);
  if (!whole || PairSteps::kFlushes) return add_border_values(call, tile, sight, pages, next, a);
  TileValues values = values_for_all(call, pages, next, 0, kAttendBlock / 2);
  values.out = tile.chunk.out;
  values.a = a;
  by_rows<ValueRows>(tile.rows, values);
}

/// q * scale, rounded to bf16, as [lines][rows] pairs; odd head_dim ends with a zero.
void Bf16Call::place_queries(Tile& tile, float*& memory) const {
  tile.q = memory;
  memory += (tile.rows * lines * PairSteps::kNumbers + kWidth - 1) / kWidth * kWidth;
  const Floats scale = broadcast(args.scale * ExpConstants::kLog2E);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t query = tile.first + row;
    const float* const q = args.q + query / args.heads * args.q_token_stride + query % args.heads * args.q_head_stride;
    for (int64_t d = 0; d < args.head_dim; d += kWidth) {
      const int64_t count = args.head_dim - d < kWidth ? args.head_dim - d : kWidth;
      uint16_t rounded[kWidth];
      store_u16(rounded, round_to_bf16(mul(load_first(q + d, count), scale)));
      for (int64_t i = 0; i < (count + 1) / 2; ++i)
        set_pair(numbers_of(tile) + ((d / 2 + i) * tile.rows + row) * PairSteps::kNumbers, rounded[2 * i],
                 rounded[2 * i + 1]);
    }
  }
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
  table.attend_bf16 = attend<Bf16Call>;
  table.join_parts = join_parts;
}

}  // namespace corbel::cpu::CORBEL_ISA
