#include "corbel/device/cpu/kernels/attention_integers.h"

// Attention over an int8 cache. Integer sums are exact, so that slots out of sight simply weigh zero.

namespace corbel::cpu::CORBEL_ISA {
namespace {

constexpr float kSmallest = 0x1p-100F;  // kSmallestStored
constexpr int64_t kNumbers = kAttendBlock / 2;

/// What stays the same over a call.
struct Int8Call {
  const AttendArgs& args;
  int64_t padded;  // head_dim in whole bricks
  int64_t lines;   // of a key brick
  float* scores;   // [kTileRows][kAttendBlock], then weights
  int32_t* p;      // [kTileRows][kNumbers]
  float* scales;   // of the block's keys [kAttendBlock], of its values

  Int8Call(const AttendArgs& call_args, int64_t padded_dim, int64_t key_lines, float*& memory)
      : args(call_args), padded(padded_dim), lines(key_lines), scores(memory) {
    p = reinterpret_cast<int32_t*>(scores + kTileRows * kAttendBlock);
    scales = scores + kTileRows * (kAttendBlock + kNumbers);
    memory = scales + 2 * kAttendBlock;
  }
  void place_queries(Tile& tile, float*& memory) const;
  void begin_block(const BlockPages& pages, const BlockPages& next) const;
  void add_block(Tile& tile, int64_t begin, const BlockPages& pages, const BlockPages& next) const;
};

/// A tile's queries: units [kWidth], then numbers [lines][rows].
int32_t* numbers_of(const Tile& tile) { return reinterpret_cast<int32_t*>(tile.q + kWidth); }

/// The largest magnitude's bits: as integers they are in order, and whatever is not finite is above all that is.
int32_t largest_bits(const float* x, int64_t count, Floats scale) {
  Ints largest = broadcast_int(0);
  for (int64_t d = 0; d < count; d += kWidth) {
    const Floats values = d + kWidth <= count ? load(x + d) : load_first(x + d, count - d);
    largest = max(largest, bit_and(as_ints(mul(values, scale)), broadcast_int(0x7fffffff)));
  }
  int32_t lanes[kWidth];
  store(reinterpret_cast<float*>(lanes), as_floats(largest));
  int32_t found = 0;
  for (int l = 0; l < kWidth; ++l) found = lanes[l] > found ? lanes[l] : found;
  return found;
}
constexpr int32_t kInfinityBits = 0x7f800000;

void Int8Call::place_queries(Tile& tile, float*& memory) const {
  tile.q = memory;
  memory += kWidth + (tile.rows * lines + kWidth - 1) / kWidth * kWidth;
  int32_t* const numbers = numbers_of(tile);
  const Floats scale = broadcast(args.scale * ExpConstants::kLog2E);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t query = tile.first + row;
    const float* const q = args.q + query / args.heads * args.q_token_stride + query % args.heads * args.q_head_stride;
    const int32_t bits = largest_bits(q, args.head_dim, scale);
    float largest;
    __builtin_memcpy(&largest, &bits, sizeof largest);
    const bool finite = bits < kInfinityBits;
    const bool counts = finite && !(largest < kSmallest);
    tile.q[row] = !finite ? __builtin_nanf("") : counts ? largest / kQueryIntegers : 0.0F;
    const Floats inverse = broadcast(counts ? kQueryIntegers / largest : 0.0F);
    for (int64_t d = 0; d < args.head_dim; d += kWidth) {
      const int64_t count = args.head_dim - d < kWidth ? args.head_dim - d : kWidth;
      int32_t integers[kWidth] = {};
      if (counts) {
        const Ints rounded = to_nearest(mul(mul(load_first(q + d, count), scale), inverse));
        store(reinterpret_cast<float*>(integers), as_floats(rounded));
      }
      for (int64_t i = 0; i < (count + 1) / 2; ++i) {
        const auto odd = static_cast<uint32_t>(integers[2 * i + 1]) << 16;
        numbers[(d / 2 + i) * tile.rows + row] =
            static_cast<int32_t>(odd | (static_cast<uint32_t>(integers[2 * i]) & 0xffffU));
      }
    }
  }
}

/// The scales as floats. A page that nobody sees leaves what was there: its slots are masked.
void Int8Call::begin_block(const BlockPages& pages, const BlockPages& next) const {
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t line = 0; next.scales[half] != nullptr && line < 4; ++line)
      _mm_prefetch(next.scales[half] + line * kLine, _MM_HINT_T1);
    if (pages.scales[half] == nullptr) continue;
    for (int64_t j = 0; j < kAttendPage; j += kWidth) {
      store(scales + half * kAttendPage + j, load_bf16(pages.scales[half] + 2 * j));
      store(scales + kAttendBlock + half * kAttendPage + j, load_bf16(pages.scales[half] + 2 * (kAttendPage + j)));
    }
  }
}

struct ScoreRange {
  IntegerScores tile;
  int64_t bricks;
};
template <int R>
struct ScoreRows {
  CORBEL_INLINE void run(const ScoreRange& range) {
    IntegerScores tile = range.tile;
    const int64_t bytes = tile.lines * kShortLine;
    const auto move = [&](int64_t bricks) {
      tile.bricks += bricks * bytes;
      if (tile.ahead != nullptr) tile.ahead += bricks * bytes;
      tile.scales += bricks * kBrickTokens;
      tile.scores += bricks * kBrickTokens;
    };
    int64_t b = 0;
    for (; b + kManyBricks<R> <= range.bricks; b += kManyBricks<R>) {
      score_integer_bricks<R, kManyBricks<R>>(tile);
      move(kManyBricks<R>);
    }
    for (; b < range.bricks; ++b) {
      score_integer_bricks<R, 1>(tile);
      move(1);
    }
  }
};

template <int R>
struct ValueRows {
  CORBEL_INLINE void run(const IntegerValues& whole) {
    IntegerValues tile = whole;
    const auto move = [&](int64_t bricks) {
      for (int half = 0; half < 2; ++half) {
        if (tile.half[half] != nullptr) tile.half[half] += bricks * kAttendPage / 2 * kShortLine;
        if (tile.ahead[half] != nullptr) tile.ahead[half] += bricks * kAttendPage / 2 * kShortLine;
      }
      tile.out += bricks * kWidth;
    };
    const int64_t bricks = whole.padded / kWidth;
    int64_t b = 0;
    for (; b + kManyBricks<R> <= bricks; b += kManyBricks<R>) {
      add_integer_values<R, kManyBricks<R>>(tile);
      move(kManyBricks<R>);
    }
    for (; b < bricks; ++b) {
      add_integer_values<R, 1>(tile);
      move(1);
    }
  }
};

void score_tile(const Int8Call& call, const Tile& tile, const Sight& sight, const BlockPages& pages,
                const BlockPages& next) {
  constexpr int64_t kHalf = kBricks / 2;
  const int64_t first = sight.any_from / kBrickTokens;
  const int64_t end = (sight.any_to + kBrickTokens - 1) / kBrickTokens;
  for (int64_t half = 0; half < 2; ++half) {
    const int64_t begin = first > half * kHalf ? first : half * kHalf;
    const int64_t stop = end < (half + 1) * kHalf ? end : (half + 1) * kHalf;
    if (begin >= stop) continue;
    const int64_t offset = begin % kHalf * call.lines * kShortLine;
    const unsigned char* const ahead = next.keys[half] == nullptr ? nullptr : next.keys[half] + offset;
    const IntegerScores scores{.q = numbers_of(tile),
                               .units = tile.q,
                               .scales = call.scales + begin * kBrickTokens,
                               .bricks = pages.keys[half] + offset,
                               .ahead = ahead,
                               .lines = call.lines,
                               .scores = call.scores + begin * kBrickTokens};
    by_rows<ScoreRows>(tile.rows, ScoreRange{scores, stop - begin});
  }
}

/// A row's weights p * scale, in place of its scores, added up and the largest found. `sight` null: all are seen.
struct RowWeights {
  Floats sum;
  Floats largest;
};
CORBEL_INLINE RowWeights weigh_row(float* s, const float* value_scales, Floats top, const Weighed& slots, int64_t row) {
  RowWeights weights{zero(), zero()};
#pragma GCC unroll 8
  for (int64_t j = slots.from; j < slots.to; j += kWidth) {
    Floats weight = exp2_below(sub(load(s + j), top));
    Floats scaled = mul(weight, load(value_scales + j));
    if (slots.sight != nullptr) {
      const Mask seen = lanes_between(slots.sight->from[row] - j, slots.sight->to[row] - j);
      weight = select(seen, weight, zero());
      scaled = select(seen, scaled, zero());
    }
    weights.sum = add(weights.sum, weight);
    weights.largest = max(scaled, weights.largest);
    store(s + j, scaled);
  }
  return weights;
}

CORBEL_INLINE void soften_slots(const Int8Call& call, const Tile& tile, const Weighed& slots, float* a, float* units) {
  const Floats before = load(tile.chunk.maximum);
  const Floats maximum = max(find_tops(call.scores, tile.rows, slots), before);
  const Floats scale = select(less(before, broadcast(kBelowAll)), zero(), exp2_below(sub(before, maximum)));
  store(tile.chunk.maximum, maximum);
  store(a, scale);
  Floats sums[kWidth];
  Floats tops[kWidth];
  for (int64_t row = 0; row < kWidth; ++row) sums[row] = tops[row] = zero();
  for (int64_t row = 0; row < tile.rows; ++row) {
    const RowWeights weights = weigh_row(call.scores + row * kAttendBlock, call.scales + kAttendBlock,
                                         broadcast(tile.chunk.maximum[row]), slots, row);
    sums[row] = weights.sum;
    tops[row] = weights.largest;
  }
  store(tile.chunk.sum, fma(load(tile.chunk.sum), scale, add_lanes_of_16(sums)));
  const Floats largest = max_lanes_of_16(tops);
  const Mask nothing = less(largest, broadcast(kSmallest));
  alignas(64) float inverses[kWidth];
  store(units, select(nothing, zero(), div(largest, broadcast(kWeightIntegers))));
  store(inverses, select(nothing, zero(), div(broadcast(kWeightIntegers), largest)));
  for (int64_t row = 0; row < tile.rows; ++row) {
    const float* const s = call.scores + row * kAttendBlock;
    auto* const p = reinterpret_cast<uint16_t*>(call.p + row * kNumbers);
    const Floats inverse = broadcast(inverses[row]);
#pragma GCC unroll 8
    for (int64_t j = slots.from; j < slots.to; j += kWidth) store_u16(p + j, to_nearest(mul(load(s + j), inverse)));
    // A row that sees nothing adds -0, which leaves every output as it is.
    if (slots.sight != nullptr && slots.sight->from[row] >= slots.sight->to[row]) units[row] = -0.0F;
  }
}

/// As soften of a bf16 cache; `units` is what the rows' integers are to be multiplied with.
void soften_integers(const Int8Call& call, const Tile& tile, const Sight* sight, float* a, float* units) {
  weigh_seen(sight,
             [&](const Weighed& slots) __attribute__((always_inline)) { soften_slots(call, tile, slots, a, units); });
}

void Int8Call::add_block(Tile& tile, int64_t begin, const BlockPages& pages, const BlockPages& next) const {
  const Sight sight = look(args, tile, begin);
  if (sight.any_from >= sight.any_to) return;
  tile.in_chunk = true;
  score_tile(*this, tile, sight, pages, next);
  alignas(64) float a[kWidth];
  alignas(64) float units[kWidth];
  const bool whole = sight.all_from == 0 && sight.all_to == kAttendBlock;
  soften_integers(*this, tile, whole ? nullptr : &sight, a, units);
  by_rows<ValueRows>(tile.rows, IntegerValues{.p = p,
                                              .half = {pages.values[0], pages.values[1]},
                                              .ahead = {next.values[0], next.values[1]},
                                              .from = sight.any_from / 2,
                                              .to = (sight.any_to + 1) / 2,
                                              .out = tile.chunk.out,
                                              .padded = padded,
                                              .a = a,
                                              .units = units});
}

uint16_t quantize_kv(const float* x, int64_t count, int8_t* integers) {
  const int32_t bits = largest_bits(x, count, broadcast(1.0F));
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  if (bits >= kInfinityBits || largest < kSmallest) {
    for (int64_t d = 0; d < count; ++d) integers[d] = 0;
    return bits >= kInfinityBits ? 0x7fc0 : 0;
  }
  uint16_t rounded[kWidth];
  store_u16(rounded, round_to_bf16(broadcast(largest / 127.0F)));
  const uint32_t scale_bits = static_cast<uint32_t>(rounded[0]) << 16;
  float scale;
  __builtin_memcpy(&scale, &scale_bits, sizeof scale);
  const Floats inverse = broadcast(1.0F / scale);
  for (int64_t d = 0; d < count; d += kWidth) {
    const int64_t some = count - d < kWidth ? count - d : kWidth;
    int32_t lanes[kWidth];
    store(reinterpret_cast<float*>(lanes), as_floats(to_nearest(mul(load_first(x + d, some), inverse))));
    for (int64_t l = 0; l < some; ++l) integers[d + l] = static_cast<int8_t>(lanes[l]);
  }
  return rounded[0];
}

}  // namespace

void add_attention_int8(Kernels& table) {
  table.attend_int8 = attend<Int8Call>;
  table.quantize_kv = quantize_kv;
}

}  // namespace corbel::cpu::CORBEL_ISA
