#include <cstring>
#include <vector>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/format/indexed_format.h"

// EncodePacked: a unit of work is a strip of 16 rows.

namespace corbel::cpu {
namespace {

constexpr int kColumns = static_cast<int>(kPackedColumns);
constexpr std::int64_t kFloatBytes = sizeof(float);

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

/// 256 values from `from` on, in place or copied to `room` with zeros behind the end.
const std::byte* padded(const std::byte* from, std::int64_t count, std::int64_t value_bytes, float* room) noexcept {
  if (count >= kColumns && from != nullptr) return from;
  std::memset(room, 0, kColumns * sizeof(float));
  if (from != nullptr) std::memcpy(room, from, static_cast<std::size_t>(count * value_bytes));
  return reinterpret_cast<const std::byte*>(room);
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
    args.importance = reinterpret_cast<const float*>(
        padded(static_cast<const std::byte*>(job.args.importance.data) + begin * kFloatBytes, count,
               kFloatBytes, importance_room));
  const TensorView& values = job.args.values;
  const std::int64_t rows = values.rows();
  args.is_bf16 = values.dtype == DType::bf16 ? 1 : 0;
  const std::int64_t value_bytes = dtype_bytes(values.dtype);
  for (int r = 0; r < kStripRows; ++r) {
    const bool inside = first_row + r < rows;
    const std::byte* const row =
        inside ? static_cast<const std::byte*>(values.row_range(first_row + r, 1).data) + begin * value_bytes : nullptr;
    args.x[r] = padded(row, count, value_bytes, row_room[r]);
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
