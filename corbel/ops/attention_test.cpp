#include "corbel/ops/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "corbel/ops/test_cache.h"

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kUnit = 0x1p-24;

struct Row {
  std::int32_t sequence;
  std::int32_t slot;
};

AttentionOpSpec make_spec(const KvPageSpec& page, std::int64_t group, std::int64_t window) {
  return {page, page.kv_heads * group, 1.0F / std::sqrt(static_cast<float>(page.head_dim)), window};
}

std::vector<float> decode(const AttentionOpSpec& spec, Cache& cache, const TensorView& q,
                          const std::vector<Row>& rows) {
  std::vector<std::int32_t> sequences;
  std::vector<std::int32_t> slots;
  for (const Row& row : rows) sequences.push_back(row.sequence), slots.push_back(row.slot);
  const auto count = static_cast<std::int64_t>(rows.size());
  std::vector<float> out(count * spec.q_heads * spec.page.head_dim);
  AttentionDecode::reference(spec, {q, make_view(sequences.data(), {count}), make_view(slots.data(), {count}),
                                    cache.layer(), make_view(out.data(), {count, spec.q_heads, spec.page.head_dim})});
  return out;
}

/// Rows of one sequence, slots first .. first + count - 1, in spans of the given lengths.
std::vector<float> prefill(const AttentionOpSpec& spec, Cache& cache, const TensorView& q, std::int32_t first,
                           const std::vector<std::int32_t>& span_rows) {
  std::vector<std::int32_t> spans;
  std::int32_t rows = 0;
  for (const std::int32_t span : span_rows) {
    spans.insert(spans.end(), {0, rows, span});
    rows += span;
  }
  std::vector<std::int32_t> slots(rows);
  std::iota(slots.begin(), slots.end(), first);
  std::vector<float> out(rows * spec.q_heads * spec.page.head_dim);
  const auto count = static_cast<std::int64_t>(span_rows.size());
  AttentionPrefill::reference(spec, {q, make_view(spans.data(), {count, 3}), make_view(slots.data(), {rows}),
                                     cache.layer(), make_view(out.data(), {rows, spec.q_heads, spec.page.head_dim})});
  return out;
}

TEST(AttentionDecode, OfOneTokenIsItsValue) {
  const KvPageSpec page{1, 4, DType::f32};
  Cache cache(page, 1, 1, 1);
  const AttentionOpSpec spec = make_spec(page, 1, 0);
  const std::vector<float> out = decode(spec, cache, cache.memory().input(DType::f32, {1, 1, 4}), {{0, 0}});
  for (int d = 0; d < 4; ++d) EXPECT_EQ(out[d], cache.value(0, 0, 0, d));
}

TEST(AttentionDecode, OfAZeroQueryIsTheMeanOfTheVisibleValues) {
  const KvPageSpec page{1, 8, DType::f32};
  Cache cache(page, 1, 4, 1);
  const std::vector<float> q(8, 0.0F);
  const std::vector<float> out = decode(make_spec(page, 1, 0), cache, make_view(q.data(), {1, 1, 8}), {{0, 3}});
  for (int d = 0; d < 8; ++d) {
    const auto v = [&](int slot) { return static_cast<float>(cache.value(0, slot, 0, d)); };
    EXPECT_EQ(out[d], (((v(0) + v(1)) + v(2)) + v(3)) * 0.25F);
  }
}

TEST(AttentionDecode, OfTwoTokensIsTheirSigmoidMix) {
  const KvPageSpec page{1, 1, DType::f32};
  Cache cache(page, 1, 2, 3);
  const std::vector<float> q = {1.5F};
  const std::vector<float> out = decode(make_spec(page, 1, 0), cache, make_view(q.data(), {1, 1, 1}), {{0, 1}});
  const double weight = 1.0 / (1.0 + std::exp(1.5 * (cache.key(0, 0, 0, 0) - cache.key(0, 1, 0, 0))));
  EXPECT_NEAR(out[0], weight * cache.value(0, 1, 0, 0) + (1.0 - weight) * cache.value(0, 0, 0, 0), 12 * kUnit);
}

/// A query element as the scores take it, in the unit of natural logarithms.
double score_factor(const AttentionOpSpec& spec, const float* q, std::int64_t d) {
  if (spec.page.dtype == DType::f32) return static_cast<double>(q[d]) * spec.softmax_scale;
  const float scale = spec.softmax_scale * 1.44269504F;
  if (spec.page.dtype == DType::bf16) return to_float(to_bfloat16(q[d] * scale)) * std::log(2.0);
  float largest = 0.0F;
  for (std::int64_t e = 0; e < spec.page.head_dim; ++e) largest = std::max(largest, std::fabs(q[e] * scale));
  return std::nearbyint(q[d] * scale * (16383.0F / largest)) * static_cast<double>(largest / 16383.0F) * std::log(2.0);
}

/// How far a weight may be from exp(score - highest), relatively, u = 2^-24.
///   f32   score: 16 lanes, tree, one product: (head_dim / 16 + 6) u of sum |q k| scale; twice, since the maximum has
///   its
///         own; the difference s - m rounds by u |s - m|; exp 2 u; each later block or chunk rescales (exp and a
///         product, arguments below |s - m|); sums round once per visible slot and block
///   bf16  score: one chain of head_dim steps; 2^x 3e-6, here and when rescaled; the weight is rounded to 8 bits
///   i8    score: an exact sum, its conversion, the unit and two products; 2^x as for bf16; integer_error() for the
///   rest
double weight_error(const AttentionOpSpec& spec, double magnitude, double range, double visible) {
  const auto dim = static_cast<double>(spec.page.head_dim);
  const double blocks = visible / static_cast<double>(kKeyBlockTokens) + 3;
  if (spec.page.dtype == DType::f32) {
    const double score_error = (std::floor(dim / 16) + 7) * kUnit * magnitude;
    return 2 * score_error + kUnit * (2 * range + 3 + 5 * blocks + visible);
  }
  constexpr double kExp2Error = 3e-6;
  const bool integers = spec.page.dtype == DType::i8;
  const double score_error = (integers ? 5 : dim + 1) * kUnit * magnitude;
  return 2 * score_error + kExp2Error * (1 + blocks) + (integers ? 4 * kUnit : 0x1p-9) +
         kUnit * (2 * range + 5 * blocks + 128);
}

/// What the sum of an int8 cache's weighted values may be off by, since weights are multiples of 1/32767 of their
/// block's largest: half a multiple for each.
double integer_error(const Cache& cache, const Row& row, std::int64_t kv, std::int64_t d, std::int64_t first,
                     const std::vector<double>& p) {
  double error = 0.0;
  for (std::int64_t begin = first; begin <= row.slot;) {
    const std::int64_t end = std::min<std::int64_t>(row.slot + 1, (begin / kKeyBlockTokens + 1) * kKeyBlockTokens);
    double largest = 0.0;
    double integers = 0.0;
    for (std::int64_t j = begin; j < end; ++j) {
      largest = std::max(largest, p[j - first] * cache.value_scale(row.sequence, j, kv));
      integers += std::fabs(cache.value(row.sequence, j, kv, d)) / cache.value_scale(row.sequence, j, kv);
    }
    error += 0.5 * largest / 32767 * integers;
    begin = end;
  }
  return error;
}

/// Softmax attention in double, all slots at once, against what f32 in the stated order may make of it: numerator and
/// denominator alike have the weights' error.
void expect_close(const AttentionOpSpec& spec, Cache& cache, const float* q, const Row& row, const float* found) {
  const std::int64_t dim = spec.page.head_dim;
  const std::int64_t first = spec.window == 0 ? 0 : std::max<std::int64_t>(0, row.slot - spec.window + 1);
  const std::int64_t visible = row.slot - first + 1;
  for (std::int64_t h = 0; h < spec.q_heads; ++h) {
    const std::int64_t kv = h / (spec.q_heads / spec.page.kv_heads);
    std::vector<double> scores(visible, 0.0);
    double magnitude = 0.0;
    for (std::int64_t j = 0; j < visible; ++j) {
      double sum = 0.0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const double product = score_factor(spec, q + h * dim, d) * cache.key(row.sequence, first + j, kv, d);
        scores[j] += product;
        sum += std::fabs(product);
      }
      magnitude = std::max(magnitude, sum);
    }
    const double highest = *std::max_element(scores.begin(), scores.end());
    const double range = highest - *std::min_element(scores.begin(), scores.end());
    double total = 0.0;
    std::vector<double> sums(dim, 0.0);
    std::vector<double> absolute(dim, 0.0);
    for (std::int64_t j = 0; j < visible; ++j) {
      const double p = scores[j] = std::exp(scores[j] - highest);
      total += p;
      for (std::int64_t d = 0; d < dim; ++d) {
        sums[d] += p * cache.value(row.sequence, first + j, kv, d);
        absolute[d] += p * std::fabs(cache.value(row.sequence, first + j, kv, d));
      }
    }
    const double one = weight_error(spec, magnitude, range, static_cast<double>(visible));
    for (std::int64_t d = 0; d < dim; ++d) {
      double bound = 1.05 * (2 * one + 3 * kUnit) * absolute[d] / total;
      if (spec.page.dtype == DType::i8) bound += 1.05 * integer_error(cache, row, kv, d, first, scores) / total;
      ASSERT_LE(std::fabs(found[h * dim + d] - sums[d] / total), bound) << "slot " << row.slot << " head " << h;
    }
  }
}

TEST(AttentionDecode, StaysWithinTheBoundOfItsArithmeticFromDouble) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    for (const std::int64_t window : {0, 1, 100, 1000}) {
      const KvPageSpec page{2, 24, dtype};
      Cache cache(page, 2, 1200, 11);
      const AttentionOpSpec spec = make_spec(page, 3, window);
      const std::vector<Row> rows = {{1, 0}, {0, 63}, {1, 64}, {0, 127}, {0, 128}, {1, 1023}, {0, 1024}, {1, 1199}};
      const auto count = static_cast<std::int64_t>(rows.size());
      const TensorView q = cache.memory().input(DType::f32, {count, 6, 24}, 3.0F);
      const std::vector<float> out = decode(spec, cache, q, rows);
      for (std::int64_t r = 0; r < count; ++r)
        expect_close(spec, cache, static_cast<const float*>(q.data) + r * 6 * 24, rows[r], out.data() + r * 6 * 24);
    }
  }
}

TEST(AttentionDecode, SeesOnlyTheNewestWindowTokens) {
  const KvPageSpec page{1, 16, DType::f32};
  Cache cache(page, 1, 200, 5);
  const TensorView q = cache.memory().input(DType::f32, {1, 1, 16});
  const AttentionOpSpec spec = make_spec(page, 1, 70);
  const std::vector<float> before = decode(spec, cache, q, {{0, 180}});
  const auto change = [&](std::int32_t slot) {
    const std::vector<float> other(16, 3.0F);
    std::vector<std::int32_t> sequence = {0};
    const TensorView row = make_view(other.data(), {1, 1, 16});
    KvAppend::reference({page}, {row, row, make_view(sequence.data(), {1}), make_view(&slot, {1}), cache.layer()});
  };
  change(110);  // 180 - 70
  change(181);
  EXPECT_EQ(decode(spec, cache, q, {{0, 180}}), before);
  change(111);
  EXPECT_NE(decode(spec, cache, q, {{0, 180}}), before);
}

TEST(Attention, PrefillEqualsDecodeRowByRowBitForBit) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    for (const std::int64_t window : {0, 1, 65, 300}) {
      const KvPageSpec page{2, 40, dtype};
      Cache cache(page, 1, 1100, 21);
      const AttentionOpSpec spec = make_spec(page, 2, window);
      constexpr std::int32_t kFirst = 1010;
      const TensorView q = cache.memory().input(DType::f32, {90, 4, 40}, 3.0F);
      std::vector<Row> rows;
      for (std::int32_t r = 0; r < 90; ++r) rows.push_back({0, kFirst + r});
      EXPECT_EQ(prefill(spec, cache, q, kFirst, {90}), decode(spec, cache, q, rows)) << "window " << window;
    }
  }
}

TEST(Attention, AnySplitOfAPrefillIntoSpansGivesTheSameBits) {
  const KvPageSpec page{1, 64, DType::bf16};
  Cache cache(page, 1, 300, 22);
  const AttentionOpSpec spec = make_spec(page, 4, 0);
  const TensorView q = cache.memory().input(DType::f32, {300, 4, 64}, 3.0F);
  const std::vector<float> whole = prefill(spec, cache, q, 0, {300});
  for (const std::vector<std::int32_t>& spans :
       {std::vector<std::int32_t>{1, 299}, {64, 64, 64, 64, 44}, {127, 1, 1, 171}, {200, 100}})
    EXPECT_EQ(prefill(spec, cache, q, 0, spans), whole) << spans.size() << " spans";
}

TEST(Attention, AHeadThatSeesANonFiniteKeyIsNanInAllElementsAndOthersDoNotNotice) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    const KvPageSpec page{2, 8, dtype};
    Cache cache(page, 1, 200, 3);
    const AttentionOpSpec spec = make_spec(page, 1, 0);
    const TensorView q = cache.memory().input(DType::f32, {2, 2, 8});
    const std::vector<float> before = decode(spec, cache, q, {{0, 99}, {0, 180}});
    std::vector<float> key(16, 1.0F);
    key[11] = NAN;  // of head 1
    const std::vector<float> value(16, 1.0F);
    const std::vector<std::int32_t> sequence = {0};
    const std::vector<std::int32_t> slot = {100};
    KvAppend::reference({page}, {make_view(key.data(), {1, 2, 8}), make_view(value.data(), {1, 2, 8}),
                                 make_view(sequence.data(), {1}), make_view(slot.data(), {1}), cache.layer()});
    const std::vector<float> after = decode(spec, cache, q, {{0, 99}, {0, 180}});
    for (int i = 0; i < 16; ++i) EXPECT_EQ(after[i], before[i]) << "the row before it";
    for (int i = 16; i < 24; ++i) EXPECT_FALSE(std::isnan(after[i])) << "head 0";
    for (int i = 24; i < 32; ++i) EXPECT_TRUE(std::isnan(after[i])) << "head 1 of " << dtype_name(dtype);
  }
}

TEST(Attention, PrefillLeavesRowsOutsideItsSpansAlone) {
  const KvPageSpec page{1, 8, DType::f32};
  Cache cache(page, 1, 10, 2);
  std::vector<std::int32_t> spans = {0, 1, 2};
  std::vector<std::int32_t> slots = {-1, 3, 4, -1};
  const TensorView q = cache.memory().input(DType::f32, {4, 1, 8});
  std::vector<float> out(32, 7.0F);
  AttentionPrefill::reference(make_spec(page, 1, 0), {q, make_view(spans.data(), {1, 3}), make_view(slots.data(), {4}),
                                                      cache.layer(), make_view(out.data(), {4, 1, 8})});
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(out[i], 7.0F);
    EXPECT_NE(out[8 + i], 7.0F);
    EXPECT_EQ(out[24 + i], 7.0F);
  }
}

TEST(Attention, RefusesWhatItDoesNotDefineNamingFieldAndValues) {
  const AttentionOpSpec good{{2, 64, DType::bf16}, 8, 0.125F, 0};
  const auto with = [&good](auto spoil) {
    AttentionOpSpec spec = good;
    spoil(spec);
    const std::string message = refusal<AttentionPrefill>(spec);
    EXPECT_THAT(refusal<AttentionDecode>(spec), testing::EndsWith(message.substr(message.find(": "))));
    return message;
  };
  EXPECT_EQ(refusal<AttentionPrefill>(good), "accepted");
  EXPECT_EQ(refusal<AttentionDecode>(good), "accepted");
  EXPECT_THAT(with([](auto& s) { s.q_heads = 0; }), HasSubstr("op \"attention_prefill\": q_heads is 0"));
  EXPECT_THAT(with([](auto& s) { s.q_heads = 9; }),
              HasSubstr("q_heads is 9, it must be a multiple of page.kv_heads, which is 2"));
  EXPECT_THAT(with([](auto& s) { s.page.kv_heads = -1; }), HasSubstr("page.kv_heads is -1"));
  EXPECT_THAT(with([](auto& s) { s.page.kv_heads = std::int64_t{1} << 62; }), HasSubstr("page.kv_heads is 4611686"));
  EXPECT_THAT(with([](auto& s) { s.page.head_dim = 1025; }),
              HasSubstr("page.head_dim is 1025, it must be between 1 and 1024"));
  EXPECT_THAT(with([](auto& s) { s.page.dtype = DType::f16; }),
              HasSubstr("page.dtype is f16, it must be f32, bf16 or i8"));
  EXPECT_THAT(with([](auto& s) { s.softmax_scale = 0.0F; }), HasSubstr("softmax_scale is 0"));
  EXPECT_THAT(with([](auto& s) { s.softmax_scale = HUGE_VALF; }), HasSubstr("softmax_scale is inf"));
  EXPECT_THAT(with([](auto& s) { s.window = -1; }), HasSubstr("window is -1"));
}

}  // namespace
}  // namespace corbel
