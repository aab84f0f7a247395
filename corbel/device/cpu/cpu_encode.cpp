#include <cstring>
#include <vector>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/format/indexed_format.h"

// EncodePacked: a unit of work is a strip of 16 rows.

namespace corbel::cpu {
namespace {

constexpr int kColumns = static_cast<int>(kPackedColumns);

struct EncodeState {
  OpState plain;
  std::vector<float> factors;
  const IndexedLayout* layout = nullptr;  // null: w8
};

/// What the strips of one call share.
struct StripJob {
  const EncodePacked::Spec& spec;
  const EncodePacked::Args& args;
  const EncodeState& state;
};

EncodeBlockArgs block_args(const StripJob& job) noexcept {
  EncodeBlockArgs args;
  args.rows = kStripRows;
  args.code_bits = job.state.layout == nullptr ? 8 : job.state.layout->code_bits;
  if (const IndexedLayout* layout = job.state.layout) {
    args.group = layout->group;
    args.codes = layout->codes;
    args.multipliers = layout->multipliers;
    args.multiplier_count = 1 << layout->group_bits;
  }
  args.factors = job.state.factors.data();
  args.candidates = job.spec.candidates;
  args.refits = job.spec.refits;
  args.smallest = kSmallestEncoded;
  return args;
}

/// 256 floats from `from` on, in place or copied to `room` with zeros behind the end.
const float* padded(const float* from, std::int64_t count, float* room) noexcept {
  if (count >= kColumns) return from;
  std::memset(room, 0, kColumns * sizeof(float));
  if (from != nullptr && count > 0) std::memcpy(room, from, static_cast<std::size_t>(count) * sizeof(float));
  return room;
}

/// 256 values of bfloat16 as floats. All of them at once is what a compiler makes vectors of.
void widen(const std::byte* from, float* to) noexcept {
  std::uint16_t halves[kColumns];
  std::memcpy(halves, from, sizeof halves);
  for (int i = 0; i < kColumns; ++i) {
    const std::uint32_t bits = std::uint32_t{halves[i]} << 16;
    std::memcpy(to + i, &bits, sizeof bits);
  }
}

/// A row's 256 values from `begin` on: floats where they are, or copied to `room` with zeros behind the end.
const float* block_row(const TensorView& values, std::int64_t row, std::int64_t begin, float* room) noexcept {
  const std::int64_t count = values.columns() - begin;
  if (values.dtype != DType::bf16) return padded(Rows<const float>(values)[row] + begin, count, room);
  const std::byte* from = static_cast<const std::byte*>(values.row_range(row, 1).data) + begin * 2;
  std::byte last[kColumns * 2] = {};
  if (count < kColumns) from = static_cast<std::byte*>(std::memcpy(last, from, static_cast<std::size_t>(count * 2)));
  widen(from, room);
  return room;
}

void encode_block(const StripJob& job, std::int64_t first_row, std::int64_t b, std::byte* block) noexcept {
  float row_room[kStripRows][kColumns];
  float importance_room[kColumns];
  float unused[kEncodeErrorFloats];
  IndexedRow parts[kStripRows];
  EncodeBlockArgs args = block_args(job);
  const std::int64_t begin = b * kPackedColumns;
  const std::int64_t count = job.spec.columns - begin;
  if (!job.args.importance.empty())
    args.importance = padded(static_cast<const float*>(job.args.importance.data) + begin, count, importance_room);
  const std::int64_t rows = job.args.values.rows();
  for (int r = 0; r < kStripRows; ++r) {
    const bool inside = first_row + r < rows;
    args.x[r] =
        inside ? block_row(job.args.values, first_row + r, begin, row_room[r]) : padded(nullptr, 0, row_room[r]);
    EncodedRow& out = args.out[r];
    out.errors = inside ? Rows<float>(job.args.errors)[first_row + r] + b * kEncodeErrorFloats : unused;
    if (job.state.layout == nullptr) {
      out.scale = reinterpret_cast<std::uint16_t*>(block + r * 4);
      out.codes = reinterpret_cast<std::uint8_t*>(block) + 64 + r * 4;
    } else {
      out.codes = parts[r].codes.data();
      out.multipliers = parts[r].multipliers.data();
      out.scale = &parts[r].scale;
    }
  }
  job.state.plain.kernels->encode_block(args);
  if (job.state.layout != nullptr) store_indexed_block(*job.state.layout, parts, block);
}

void run_encode(const Prepared<EncodePacked>& self, const EncodePacked::Args& args, RunContext&) noexcept {
  const StripJob job{self.spec(), args, *static_cast<const EncodeState*>(self.state())};
  const std::int64_t blocks = packed_blocks(job.spec.columns);
  job.state.plain.pool->parallel_for(packed_strips(args.values.rows()), [&](std::int64_t strip, int) {
    std::byte* const bytes = args.matrix + strip * strip_bytes(*job.spec.format, job.spec.columns);
    for (std::int64_t b = 0; b < blocks; ++b)
      encode_block(job, strip * kStripRows, b, bytes + b * job.spec.format->block_bytes);
  });
}

}  // namespace

void add_encode_op(OpTable& table) {
  table.entry<EncodePacked>().prepare = [](const EncodePacked::Spec& spec,
                                           const Device& device) -> Result<Prepared<EncodePacked>> {
    EncodeState state;
    CORBEL_ASSIGN(state.plain, cpu_device(device).state());
    state.layout = indexed_layout(*spec.format);
    if (state.layout != nullptr) {
      const int bits = state.layout->code_bits;
      for (int c = 0; c < spec.candidates; ++c) {
        state.factors.push_back(encode_range(bits).factor(c, spec.candidates) / encode_reach(bits));
      }
    }
    return Prepared<EncodePacked>(spec, run_encode, std::make_shared<const EncodeState>(std::move(state)));
  };
}

}  // namespace corbel::cpu
