#include "corbel/format/gguf_repack.h"

#include <algorithm>
#include <cstring>

#include "corbel/format/gguf_packed.h"

namespace corbel {
namespace {

/// 256 columns of a row from its blocks, fewer at the row's end.
PackedImportRow gather_row(const WeightFormat& format, const GgufRowLayout& layout, const std::byte* stored,
                           std::int64_t columns) noexcept {
  PackedImportRow parts;
  GgufBlock block;
  for (int at = 0, g = 0; at < columns; at += layout.values, ++g, stored += format.block_bytes) {
    take_apart(format, stored, block);
    std::copy_n(block.codes.begin(), layout.values, parts.codes.begin() + at);
    parts.d[static_cast<std::size_t>(g)] = block.header.d;
    parts.m[static_cast<std::size_t>(g)] = block.header.m;
  }
  if (layout.values == kPackedColumns) {
    parts.s = block.header.s;
    parts.n = block.header.n;
  }
  return parts;
}

template <const WeightFormat& (*kRows)(), const WeightFormat& (*kStrips)()>
void repack(const std::byte* source, int count, std::int64_t columns, std::byte* strip) noexcept {
  const WeightFormat& rows = kRows();
  const WeightFormat& strips = kStrips();
  const GgufRowLayout& layout = *gguf_row_layout(rows);
  const PackedImportLayout& packed = *packed_import_layout(strips);
  std::memset(strip, 0, static_cast<std::size_t>(strip_bytes(strips, columns)));
  const std::int64_t row_bytes = rows.bytes(columns);
  for (std::int64_t begin = 0; begin < columns; begin += kPackedColumns, strip += strips.block_bytes) {
    const std::int64_t part = std::min(kPackedColumns, columns - begin);
    for (int row = 0; row < count; ++row)
      store_import_row(packed, gather_row(rows, layout, source + row * row_bytes + rows.bytes(begin), part), row,
                       strip);
  }
}

template <const WeightFormat& (*kRows)(), const WeightFormat& (*kStrips)()>
Repacking made() {
  return {&kRows(), &kStrips(), repack<kRows, kStrips>};
}

}  // namespace

std::span<const Repacking> repackings() {
  static const Repacking all[] = {
      made<q4_0_format, p_q4_0_format>(), made<q4_1_format, p_q4_1_format>(),
      made<q5_0_format, p_q5_0_format>(), made<q5_1_format, p_q5_1_format>(),
      made<q8_0_format, p_q8_0_format>(), made<iq4_nl_format, p_iq4_nl_format>(),
      made<q4_k_format, p_q4_k_format>(), made<q5_k_format, p_q5_k_format>(),
      made<q6_k_format, p_q6_k_format>(), made<iq4_xs_format, p_iq4_xs_format>(),
  };
  return all;
}

const Repacking* find_repacking(const WeightFormat& rows) {
  for (const Repacking& repacking : repackings())
    if (repacking.rows == &rows) return &repacking;
  return nullptr;
}

void repack_matrix(const Repacking& repacking, const std::byte* source, std::int64_t rows, std::int64_t columns,
                   std::byte* packed) noexcept {
  const std::int64_t row_bytes = repacking.rows->bytes(columns);
  const std::int64_t step = strip_bytes(*repacking.strips, columns);
  for (std::int64_t row = 0; row < rows; row += kStripRows, packed += step) {
    const auto count = static_cast<int>(std::min(kStripRows, rows - row));
    repacking.repack_strip(source + row * row_bytes, count, columns, packed);
  }
}

}  // namespace corbel
