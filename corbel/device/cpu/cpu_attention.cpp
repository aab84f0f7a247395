#include <algorithm>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"
#include "corbel/ops/head_rows.h"

// Attention: which queries share one pass over which pages, and on which thread.

namespace corbel::cpu {
namespace {

static_assert(kAttendBlock == kKeyBlockTokens && kAttendPage == kPageTokens &&
              kAttendChunk == kKeyBlockTokens * kChunkBlocks);

std::size_t scratch_bytes(const AttentionOpSpec& spec) {
  return static_cast<std::size_t>(attend_scratch_floats(spec.page.head_dim)) * sizeof(float);
}

/// Query heads of one key head are taken together, at most kAttendQueries of them.
std::int64_t heads_together(const AttentionOpSpec& spec) noexcept {
  return std::min(spec.q_heads / spec.page.kv_heads, kAttendQueries);
}

/// Where a call's tensors are, whichever of the two ops it is.
struct Call {
  Call(const OpState& op_state, const AttentionOpSpec& op_spec, const TensorView& q_view, const TensorView& out_view,
       const KvLayer& layer) noexcept
      : state(op_state),
        spec(op_spec),
        q(q_view, op_spec.page.head_dim),
        out(out_view, op_spec.page.head_dim),
        cache(layer) {}
  const OpState& state;
  const AttentionOpSpec& spec;
  HeadRows<const float> q;
  HeadRows<float> out;
  const KvLayer& cache;
};

/// Neighbouring rows of one sequence and neighbouring query heads of one key head.
struct Tile {
  std::int64_t sequence;
  std::int64_t first_row;
  std::int64_t rows;
  std::int64_t first_head;
  std::int64_t heads;
};

void attend_tile(const Call& call, const Tile& tile, const std::int32_t* slots, int worker) noexcept {
  const AttentionOpSpec& spec = call.spec;
  const KvPageSpec& page = spec.page;
  std::int32_t first_slots[kAttendQueries];
  for (std::int64_t row = 0; row < tile.rows; ++row) {
    const std::int64_t slot = slots[tile.first_row + row];
    first_slots[row] =
        spec.window == 0 ? 0 : static_cast<std::int32_t>(std::max<std::int64_t>(0, slot - spec.window + 1));
  }
  const std::int64_t kv_head = tile.first_head / (spec.q_heads / page.kv_heads);
  AttendArgs args;
  args.q = call.q(tile.first_row, tile.first_head);
  args.q_token_stride = call.q(1, 0) - call.q(0, 0);
  args.q_head_stride = call.q(0, 1) - call.q(0, 0);
  args.out = call.out(tile.first_row, tile.first_head);
  args.out_token_stride = call.out(1, 0) - call.out(0, 0);
  args.out_head_stride = call.out(0, 1) - call.out(0, 0);
  args.tokens = tile.rows;
  args.heads = tile.heads;
  args.head_dim = page.head_dim;
  args.first_slot = first_slots;
  args.last_slot = slots + tile.first_row;
  args.scale = spec.softmax_scale;
  args.pages = reinterpret_cast<const unsigned char*>(call.cache.pages) + page.key_offset(kv_head, 0);
  args.page_stride_bytes = call.cache.page_stride_bytes;
  args.value_offset_bytes = page.half_bytes();
  args.page_table = Rows<const std::int32_t>(call.cache.page_table)[tile.sequence];
  args.scratch = reinterpret_cast<float*>(call.state.scratch->worker(worker));
  if (page.dtype == DType::bf16)
    call.state.kernels->attend_bf16(args);
  else
    call.state.kernels->attend_f32(args);
}

/// The query heads in tiles that do not cross a key head: tile `index` of head_tiles(spec).
std::int64_t head_tiles(const AttentionOpSpec& spec) noexcept {
  const std::int64_t group = spec.q_heads / spec.page.kv_heads;
  const std::int64_t together = heads_together(spec);
  return spec.page.kv_heads * ((group + together - 1) / together);
}
void place_heads(const AttentionOpSpec& spec, std::int64_t index, Tile& tile) noexcept {
  const std::int64_t group = spec.q_heads / spec.page.kv_heads;
  const std::int64_t together = heads_together(spec);
  const std::int64_t per_kv_head = (group + together - 1) / together;
  const std::int64_t within = index % per_kv_head * together;
  tile.first_head = index / per_kv_head * group + within;
  tile.heads = std::min(together, group - within);
}

void run_prefill(const Prepared<AttentionPrefill>& self, const AttentionPrefill::Args& args, RunContext&) noexcept {
  const Call call(state_of(self), self.spec(), args.q, args.out, args.cache);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  const Rows<const std::int32_t> spans(args.spans);
  const std::int64_t heads = head_tiles(call.spec);
  const std::int64_t tile_rows = kAttendQueries / heads_together(call.spec);
  for (std::int64_t s = 0; s < args.spans.rows(); ++s) {
    const std::int64_t first = spans[s][1];
    const std::int64_t rows = spans[s][2];
    const std::int64_t row_tiles = (rows + tile_rows - 1) / tile_rows;
    call.state.pool->parallel_for(row_tiles * heads, [&](std::int64_t unit, int worker) {
      // Last rows first: they see the most, and what is left at the end should be small.
      const std::int64_t row_tile = row_tiles - 1 - unit / heads;
      Tile tile{
          .sequence = spans[s][0], .first_row = first + row_tile * tile_rows, .rows = 0, .first_head = 0, .heads = 0};
      tile.rows = std::min(tile_rows, rows - row_tile * tile_rows);
      place_heads(call.spec, unit % heads, tile);
      attend_tile(call, tile, slots, worker);
    });
  }
}

void run_decode(const Prepared<AttentionDecode>& self, const AttentionDecode::Args& args, RunContext&) noexcept {
  const Call call(state_of(self), self.spec(), args.q, args.out, args.cache);
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  const std::int64_t heads = head_tiles(call.spec);
  call.state.pool->parallel_for(call.q.rows() * heads, [&](std::int64_t unit, int worker) {
    const std::int64_t row = unit / heads;
    Tile tile{.sequence = sequences[row], .first_row = row, .rows = 1, .first_head = 0, .heads = 0};
    place_heads(call.spec, unit % heads, tile);
    attend_tile(call, tile, slots, worker);
  });
}

}  // namespace

void add_attention_ops(OpTable& table) {
  table.entry<AttentionPrefill>().prepare = [](const AttentionOpSpec& spec, const Device& device) {
    return prepare_plain<AttentionPrefill>(spec, device, run_prefill, scratch_bytes(spec));
  };
  table.entry<AttentionDecode>().prepare = [](const AttentionOpSpec& spec, const Device& device) {
    return prepare_plain<AttentionDecode>(spec, device, run_decode, scratch_bytes(spec));
  };
}

}  // namespace corbel::cpu
