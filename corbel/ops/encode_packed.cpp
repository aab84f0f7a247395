#include "corbel/ops/encode_packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "corbel/format/indexed_format.h"
#include "corbel/ops/arithmetic.h"
#include "corbel/ops/case_list.h"
#include "corbel/ops/spec_check.h"
#include "corbel/tensor/dtype.h"

namespace corbel {
namespace {

constexpr int kColumns = static_cast<int>(kPackedColumns);
static_assert(sizeof(EncodeErrors) == kEncodeErrorFloats * sizeof(float));

/// A row of one block, padded with zeros.
struct Row {
  float x[kColumns] = {};
  float importance[kColumns] = {};
  float largest = 0.0F;
};

/// A scale and what it leads to.
struct Choice {
  std::uint16_t scale = 0;  // bfloat16 bits
  float score = HUGE_VALF;
  std::uint8_t multipliers[32] = {};

  float step() const noexcept { return to_float(std::bit_cast<bfloat16>(scale)); }
};

int nearest_code(const IndexedLayout& layout, float y) noexcept {
  if (layout.code_bits == 6) {
    if (y < -62.5F) return 0;
    return static_cast<int>(std::clamp(2.0F * std::nearbyint(y * 0.5F), -62.0F, 62.0F)) / 2 + 32;
  }
  int code = 0;
  for (int k = 0; k + 1 < 1 << layout.code_bits; ++k) {
    const float middle = 0.5F * (static_cast<float>(layout.codes[k]) + static_cast<float>(layout.codes[k + 1]));
    code += middle < y ? 1 : 0;
  }
  return code;
}

/// Indexes of the three multipliers that are worth a try for the group from column `first` on.
void few_multipliers(const IndexedLayout& layout, const Row& row, int first, float inverse,
                     int (&indexes)[3]) noexcept {
  float above = 0.0F;
  float below = 0.0F;
  for (int i = first; i < first + layout.group; ++i) {
    const float u = row.x[i] * inverse;
    above = std::max(above, u);
    below = std::max(below, 0.0F - u);
  }
  const float reach = std::max(above, below) * (1.0F / 31.0F);
  const int magnitude = 1 + (1.0F < reach ? 1 : 0) + (2.0F < reach ? 1 : 0) + (3.0F < reach ? 1 : 0);
  const int sign = below < above ? 4 : 0;  // multipliers are 1 2 3 4 -1 -2 -3 -4
  indexes[0] = sign + magnitude - 1;
  indexes[1] = 4 - sign + magnitude - 1;
  indexes[2] = sign + (magnitude > 1 ? magnitude - 2 : 1);
}

enum class Multipliers : std::uint8_t { few, all };

Choice evaluate(const IndexedLayout& layout, const Row& row, std::uint16_t scale, Multipliers which) noexcept {
  Choice choice{.scale = scale};
  const float inverse = 1.0F / choice.step();
  const bool few = which == Multipliers::few && layout.code_bits == 4;
  float lanes[kLanes] = {};
  for (int g = 0; g < layout.groups(); ++g) {
    int indexes[3] = {};
    if (few) few_multipliers(layout, row, g * layout.group, inverse, indexes);
    float least = HUGE_VALF;
    for (int k = 0; k < (few ? 3 : 1 << layout.group_bits); ++k) {
      const int m = few ? indexes[k] : k;
      const auto multiplier = static_cast<float>(layout.multipliers[m]);
      float error = 0.0F;
      for (int i = g * layout.group; i < (g + 1) * layout.group; ++i) {
        const float u = row.x[i] * inverse;
        const int code = nearest_code(layout, u * (1.0F / multiplier));
        const float d = u - multiplier * static_cast<float>(layout.codes[code]);
        error = error + (row.importance[i] * d) * d;
      }
      if (!(error < least)) continue;
      least = error;
      choice.multipliers[g] = static_cast<std::uint8_t>(m);
    }
    lanes[g * layout.group / 16] += least;
  }
  const float r = choice.step() * (1.0F / row.largest);
  choice.score = (add_lanes(lanes) * r) * r;
  return choice;
}

/// The codes of a choice.
void set_codes(const IndexedLayout& layout, const Row& row, const Choice& choice, IndexedRow& parts) noexcept {
  const float inverse = 1.0F / choice.step();
  for (int i = 0; i < kColumns; ++i) {
    const int m = choice.multipliers[i / layout.group];
    const float y = (row.x[i] * inverse) * (1.0F / static_cast<float>(layout.multipliers[m]));
    parts.codes[i] = static_cast<std::uint8_t>(nearest_code(layout, y));
    parts.multipliers[i / layout.group] = static_cast<std::uint8_t>(m);
  }
}

float integer_of(const IndexedLayout& layout, const IndexedRow& parts, int i) noexcept {
  return static_cast<float>(layout.multipliers[parts.multipliers[i / layout.group]] * layout.codes[parts.codes[i]]);
}

/// The scale that suits the codes best.
std::uint16_t refitted(const IndexedLayout& layout, const Row& row, const IndexedRow& parts, float step) noexcept {
  const float inverse = 1.0F / step;
  float products[kLanes] = {};
  float squares[kLanes] = {};
  for (int i = 0; i < kColumns; ++i) {
    const float q = integer_of(layout, parts, i);
    const float weighted = row.importance[i] * q;
    products[i / 16] += weighted * (row.x[i] * inverse);
    squares[i / 16] += weighted * q;
  }
  const float square = add_lanes(squares);
  if (!(square > 0.0F)) return std::bit_cast<std::uint16_t>(to_bfloat16(step));
  return std::bit_cast<std::uint16_t>(to_bfloat16(step * (add_lanes(products) / square)));
}

/// Sums of the errors of `q * step` against the row.
template <typename Integer>
EncodeErrors errors_of(const Row& row, float step, Integer&& integer) noexcept {
  float signal[kLanes] = {};
  float noise[kLanes] = {};
  float weighted_signal[kLanes] = {};
  float weighted_noise[kLanes] = {};
  const float inverse = 1.0F / row.largest;
  const float r = step * inverse;
  for (int i = 0; i < kColumns; ++i) {
    const float v = row.x[i] * inverse;
    const float d = v - integer(i) * r;
    signal[i / 16] += v * v;
    noise[i / 16] += d * d;
    weighted_signal[i / 16] += (row.importance[i] * v) * v;
    weighted_noise[i / 16] += (row.importance[i] * d) * d;
  }
  return {row.largest, add_lanes(signal), add_lanes(noise), add_lanes(weighted_signal), add_lanes(weighted_noise)};
}

EncodeErrors encode_indexed(const IndexedLayout& layout, const EncodePacked::Spec& spec, const Row& row,
                            IndexedRow& parts) noexcept {
  const EncodeRange& range = encode_range(layout.code_bits);
  Choice best;
  for (int c = 0; c < spec.candidates; ++c) {
    const bfloat16 scale =
        to_bfloat16(row.largest * (range.factor(c, spec.candidates) / encode_reach(layout.code_bits)));
    const Multipliers which = spec.candidates > 1 ? Multipliers::few : Multipliers::all;
    const Choice choice = evaluate(layout, row, std::bit_cast<std::uint16_t>(scale), which);
    if (choice.score < best.score || c == 0) best = choice;
  }
  if (spec.candidates > 1 && layout.code_bits == 4) best = evaluate(layout, row, best.scale, Multipliers::all);
  set_codes(layout, row, best, parts);
  for (int refit = 0; refit < spec.refits; ++refit) {
    const std::uint16_t scale = refitted(layout, row, parts, best.step());
    if (scale == best.scale || scale == 0) break;
    const Choice choice = evaluate(layout, row, scale, Multipliers::all);
    if (!(choice.score < best.score)) break;
    best = choice;
    set_codes(layout, row, best, parts);
  }
  parts.scale = refitted(layout, row, parts, best.step());
  return errors_of(row, to_float(std::bit_cast<bfloat16>(parts.scale)),
                   [&](int i) { return integer_of(layout, parts, i); });
}

EncodeErrors encode_w8(const Row& row, int index, std::byte* block) noexcept {
  const float scale = row.largest / 127.0F;
  float integers[kColumns];
  std::memcpy(block + index * 4, &scale, sizeof scale);
  for (int i = 0; i < kColumns; ++i) {
    integers[i] = std::clamp(std::nearbyint(row.x[i] / scale), -127.0F, 127.0F);
    block[64 + i / 4 * 64 + 4 * index + i % 4] = static_cast<std::byte>(static_cast<int>(integers[i]) + 128);
  }
  return errors_of(row, scale, [&](int i) { return integers[i]; });
}

void set_zero_row(const IndexedLayout* layout, int index, IndexedRow& parts, std::byte* block) noexcept {
  if (layout != nullptr) {
    parts = {};
    parts.codes.fill(static_cast<std::uint8_t>(nearest_code(*layout, 0.0F)));
    return;
  }
  std::memset(block + index * 4, 0, sizeof(float));
  for (int i = 0; i < kColumns; ++i) block[64 + i / 4 * 64 + 4 * index + i % 4] = std::byte{128};
}

void load_row(const EncodePacked::Args& args, std::int64_t row, std::int64_t begin, Row& out) noexcept {
  const std::int64_t count = std::min<std::int64_t>(kColumns, args.values.columns() - begin);
  const auto* const stored = static_cast<const std::byte*>(args.values.row_range(row, 1).data);
  for (std::int64_t i = 0; i < count; ++i) {
    if (args.values.dtype == DType::bf16) {
      bfloat16 value{};
      std::memcpy(&value, stored + (begin + i) * dtype_bytes(DType::bf16), sizeof value);
      out.x[i] = to_float(value);
    } else {
      out.x[i] = reinterpret_cast<const float*>(stored)[begin + i];
    }
    out.importance[i] = args.importance.empty() ? 1.0F : static_cast<const float*>(args.importance.data)[begin + i];
    out.largest = std::max(out.largest, std::fabs(out.x[i]));
  }
}

}  // namespace

Result<void> EncodePacked::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "columns", spec.columns));
  CORBEL_TRY(check_size(kName, "candidates", spec.candidates, 64));
  CORBEL_TRY(check_size(kName, "refits", spec.refits, 8, 0));
  if (spec.format == nullptr) return refuse(kName, "no format");
  if (spec.format == &w8_format() || indexed_layout(*spec.format) != nullptr) return {};
  return refuse(kName, cat("format is ", spec.format->name, "; it must be w8 or a format of indexes"));
}

void EncodePacked::reference(const Spec& spec, const Args& args) noexcept {
  const IndexedLayout* const layout = indexed_layout(*spec.format);
  const std::int64_t rows = args.values.rows();
  const std::int64_t blocks = packed_blocks(spec.columns);
  for (std::int64_t first = 0; first < rows; first += kStripRows) {
    for (std::int64_t b = 0; b < blocks; ++b) {
      std::byte* const block = args.matrix + (first / kStripRows * blocks + b) * spec.format->block_bytes;
      IndexedRow parts[kStripRows];
      for (int r = 0; r < kStripRows; ++r) {
        Row row;
        if (first + r < rows) load_row(args, first + r, b * kPackedColumns, row);
        EncodeErrors errors{};
        if (!(row.largest >= kSmallestEncoded))
          set_zero_row(layout, r, parts[r], block);
        else
          errors = layout != nullptr ? encode_indexed(*layout, spec, row, parts[r]) : encode_w8(row, r, block);
        if (first + r < rows)
          std::memcpy(Rows<float>(args.errors)[first + r] + b * kEncodeErrorFloats, &errors, sizeof errors);
      }
      if (layout != nullptr) store_indexed_block(*layout, parts, block);
    }
  }
}

std::vector<OpCase<EncodePacked>> EncodePacked::cases(CaseScale scale) {
  std::vector<OpCase<EncodePacked>> cases;
  DType stored = DType::f32;
  const auto add = [&](const Spec& spec, std::int64_t rows, bool weighted, bool hostile) {
    cases.push_back({cat("columns=", spec.columns, " rows=", rows, ' ', spec.format->name,
                         " candidates=", spec.candidates, " refits=", spec.refits, weighted ? " weighted" : "",
                         hostile ? " hostile" : "", stored == DType::bf16 ? " of bf16" : ""),
                     spec, [=](CaseMemory& memory) {
                       Args args;
                       const Shape shape{rows, spec.columns};
                       args.values = hostile ? memory.hostile_rows(shape) : memory.input(stored, shape, 0.1F);
                       if (weighted) {
                         args.importance = memory.input(DType::f32, {spec.columns});
                         auto* importance = static_cast<float*>(args.importance.data);
                         for (std::int64_t i = 0; i < spec.columns; ++i) importance[i] *= importance[i];
                       }
                       const TensorView bytes = memory.zeroed(spec.format->matrix_bytes(rows, spec.columns));
                       args.matrix = static_cast<std::byte*>(bytes.data);
                       args.errors =
                           memory.output(DType::f32, {rows, packed_blocks(spec.columns) * kEncodeErrorFloats});
                       return args;
                     }});
  };
  for (const WeightFormat* format : {&w4g16_format(), &w4g8_format(), &w5g16_format(), &w6g8_format(), &w8_format()}) {
    add({256, format, 1, 0}, 16, false, false);
    add({300, format, 5, 2}, 19, true, false);
    if (scale == CaseScale::quick) continue;
    add({512, format, 12, 2}, 17, false, true);
    add({1, format, 3, 1}, 1, true, false);
    add({3, format, 3, 1}, 3, false, true);
    add({352, format, 12, 2}, 33, true, true);
    add({2048, format, 4, 1}, 64, false, false);
  }
  stored = DType::bf16;
  add({300, &w4g16_format(), 5, 2}, 19, true, false);
  if (scale == CaseScale::full) {
    for (const WeightFormat* format : {&w4g8_format(), &w5g16_format(), &w6g8_format(), &w8_format()})
      add({513, format, 1, 0}, 17, false, false);
  }
  return without_repeats(std::move(cases));
}

}  // namespace corbel
