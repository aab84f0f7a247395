#include <algorithm>
#include <cstring>

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

// Decode of few long sequences is spread over the threads chunk by chunk when there are fewer units than that.
constexpr std::int64_t kUnitsPerThread = 16;
constexpr std::int64_t kSplitBytes = std::int64_t{2} << 20;
// Slots that a sequence of decode may see for memory to be asked for the next head's block instead of its own next one:
// there is none, or little of it.
constexpr std::int64_t kFewSlots = 2 * kAttendBlock;

/// Query heads of one key head are taken together, at most kAttendQueries of them.
std::int64_t heads_together(const AttentionOpSpec& spec) noexcept {
  return std::min(spec.q_heads / spec.page.kv_heads, kAttendQueries);
}

/// Parts of chunks that the shared scratch holds.
std::int64_t split_parts(const AttentionOpSpec& spec) noexcept {
  const std::int64_t bytes = attend_part_floats(heads_together(spec), spec.page.head_dim) * 4;
  return std::clamp<std::int64_t>(kSplitBytes / bytes, 32, 1024);
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

std::int32_t first_visible(const AttentionOpSpec& spec, std::int32_t slot) noexcept {
  return spec.window == 0 ? 0 : static_cast<std::int32_t>(std::max<std::int64_t>(0, slot - spec.window + 1));
}

/// `first_slots` holds tile.rows numbers.
AttendArgs make_args(const Call& call, const Tile& tile, const std::int32_t* slots, std::int32_t* first_slots,
                     int worker) noexcept {
  const AttentionOpSpec& spec = call.spec;
  const KvPageSpec& page = spec.page;
  for (std::int64_t row = 0; row < tile.rows; ++row)
    first_slots[row] = first_visible(spec, slots[tile.first_row + row]);
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
  args.pages = reinterpret_cast<const unsigned char*>(call.cache.pages) + page.keys_offset(kv_head);
  args.page_stride_bytes = call.cache.page_stride_bytes;
  args.value_offset_bytes = page.values_offset(kv_head) - page.keys_offset(kv_head);
  args.scale_offset_bytes = page.scales_offset(kv_head) - page.keys_offset(kv_head);
  args.page_table = Rows<const std::int32_t>(call.cache.page_table)[tile.sequence];
  args.scratch = reinterpret_cast<float*>(call.state.scratch->worker(worker));
  return args;
}

using AttendKernel = void (*)(const AttendArgs&);
AttendKernel kernel_of(const Call& call) noexcept {
  const Kernels& kernels = *call.state.kernels;
  const DType dtype = call.spec.page.dtype;
  return dtype == DType::f32 ? kernels.attend_f32 : dtype == DType::bf16 ? kernels.attend_bf16 : kernels.attend_int8;
}

/// `following`: the same thread's next one, or null; of few slots it is what memory is asked for meanwhile.
void attend_tile(const Call& call, const Tile& tile, const Tile* following, const std::int32_t* slots,
                 int worker) noexcept {
  std::int32_t first_slots[kAttendQueries];
  AttendArgs args = make_args(call, tile, slots, first_slots, worker);
  args.fetches_ahead = 1;
  if (following != nullptr && args.last_slot[0] - first_slots[0] < kFewSlots) {
    std::int32_t unused[kAttendQueries];
    const AttendArgs later = make_args(call, *following, slots, unused, worker);
    args.following_pages = later.pages;
    args.following_page_table = later.page_table;
    args.following_last_slot = later.last_slot[0];
  }
  kernel_of(call)(args);
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
      attend_tile(call, tile, nullptr, slots, worker);
    });
  }
}

/// The chunks of few long sequences, spread over the threads: unit after unit (row, head tile), chunk after chunk.
/// Parts go to the shared scratch, as many at a time as fit, and are joined unit by unit, in ascending order.
class SplitDecode {
 public:
  SplitDecode(const Call& call, const AttentionDecode::Args& args) noexcept
      : call_(call),
        sequences_(static_cast<const std::int32_t*>(args.sequences.data)),
        slots_(static_cast<const std::int32_t*>(args.slots.data)),
        heads_(head_tiles(call.spec)),
        part_floats_(attend_part_floats(heads_together(call.spec), call.spec.page.head_dim)),
        parts_(reinterpret_cast<float*>(call.state.scratch->shared())) {
    for (std::int64_t row = 0; row < call.q.rows(); ++row) total_ += heads_ * chunks(row);
  }

  /// Worth it: some unit has several chunks, and units alone are too few to end together.
  bool pays() const noexcept {
    const std::int64_t units = call_.q.rows() * heads_;
    const int threads = call_.state.pool->threads();
    return call_.spec.page.dtype != DType::f32 && threads > 1 && units < kUnitsPerThread * threads && total_ > units;
  }

  void run() noexcept {
    ThreadPool& pool = *call_.state.pool;
    const std::int64_t step = std::clamp<std::int64_t>(total_ / (kUnitsPerThread * pool.threads()), 1, kChunkBlocks);
    const std::int64_t room = split_parts(call_.spec) - 1;  // the first part is what the last wave left unfinished
    for (std::int64_t begin = 0; begin < total_; begin += room) {
      const std::int64_t end = std::min(total_, begin + room);
      pool.parallel_for((end - begin + step - 1) / step, [&](std::int64_t task, int worker) {
        attend_chunks(begin, begin + task * step, std::min(end, begin + (task + 1) * step), worker);
      });
      const std::int64_t first_unit = find(begin).unit;
      const std::int64_t last_unit = find(end - 1).unit;
      pool.parallel_for(last_unit - first_unit + 1,
                        [&](std::int64_t unit, int worker) { join(begin, end, first_unit + unit, worker); });
      // What the last unit lacks comes with the next wave.
      const Place last = find(end - 1);
      const std::int64_t unit_begin = end - 1 - last.index;
      if (last.index + 1 < last.chunks && unit_begin >= begin)
        std::memcpy(parts_, part(begin, unit_begin), static_cast<std::size_t>(part_floats_) * sizeof(float));
    }
  }

 private:
  /// A chunk of a unit.
  struct Place {
    std::int64_t unit;
    std::int64_t row;
    std::int64_t index;  // among the unit's chunks
    std::int64_t chunks;
  };

  std::int64_t first_chunk(std::int64_t row) const noexcept {
    return first_visible(call_.spec, slots_[row]) / kAttendChunk;
  }
  std::int64_t chunks(std::int64_t row) const noexcept { return slots_[row] / kAttendChunk + 1 - first_chunk(row); }
  /// Chunk `number` of all.
  Place find(std::int64_t number) const noexcept {
    std::int64_t row = 0;
    while (number >= heads_ * chunks(row)) number -= heads_ * chunks(row++);
    return {row * heads_ + number / chunks(row), row, number % chunks(row), chunks(row)};
  }
  /// Where chunk `number` of the wave that begins at `begin` has its part; begin - 1 is what was left unfinished.
  float* part(std::int64_t begin, std::int64_t number) const noexcept {
    return parts_ + (number - begin + 1) * part_floats_;
  }
  Tile tile_of(const Place& place) const noexcept {
    Tile tile{.sequence = sequences_[place.row], .first_row = place.row, .rows = 1, .first_head = 0, .heads = 0};
    place_heads(call_.spec, place.unit % heads_, tile);
    return tile;
  }

  void attend_chunks(std::int64_t begin, std::int64_t from, std::int64_t to, int worker) const noexcept {
    while (from < to) {
      const Place place = find(from);
      const std::int64_t count = std::min(to - from, place.chunks - place.index);
      std::int32_t first_slot = 0;
      AttendArgs args = make_args(call_, tile_of(place), slots_, &first_slot, worker);
      args.fetches_ahead = 1;
      args.parts = part(begin, from);
      args.part_floats = part_floats_;
      args.first_chunk = first_chunk(place.row) + place.index;
      args.end_chunk = args.first_chunk + count;
      kernel_of(call_)(args);
      from += count;
    }
  }

  void join(std::int64_t begin, std::int64_t end, std::int64_t unit, int worker) const noexcept {
    // The unit's chunks in this wave, and the part left by the last one when it began there.
    const Place at_begin = find(begin);
    std::int64_t from = begin;
    Place place = at_begin;
    while (place.unit < unit) {
      from += place.chunks - place.index;
      place = find(from);
    }
    const std::int64_t to = std::min(end, from + place.chunks - place.index);
    if (place.index > 0) --from;
    std::int32_t first_slot = 0;
    AttendArgs args = make_args(call_, tile_of(place), slots_, &first_slot, worker);
    args.part_floats = part_floats_;
    const bool complete = to - from == place.chunks - place.index + (place.index > 0 ? 1 : 0);
    call_.state.kernels->join_parts(args, part(begin, from), to - from, complete ? 1 : 0);
  }

  const Call& call_;
  const std::int32_t* sequences_;
  const std::int32_t* slots_;
  std::int64_t heads_;
  std::int64_t part_floats_;
  float* parts_;
  std::int64_t total_ = 0;  // chunks of all units
};

void run_decode(const Prepared<AttentionDecode>& self, const AttentionDecode::Args& args, RunContext&) noexcept {
  const Call call(state_of(self), self.spec(), args.q, args.out, args.cache);
  SplitDecode split(call, args);
  if (split.pays()) return split.run();
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  const std::int64_t heads = head_tiles(call.spec);
  const std::int64_t units = call.q.rows() * heads;
  const auto tile_of = [&](std::int64_t unit) {
    const std::int64_t row = unit / heads;
    Tile tile{.sequence = sequences[row], .first_row = row, .rows = 1, .first_head = 0, .heads = 0};
    place_heads(call.spec, unit % heads, tile);
    return tile;
  };
  call.state.pool->parallel_for(units, [&](std::int64_t unit, int worker) {
    const Tile following = tile_of(std::min(unit + 1, units - 1));
    attend_tile(call, tile_of(unit), &following, slots, worker);
  });
}

}  // namespace

void add_attention_ops(OpTable& table) {
  table.entry<AttentionPrefill>().prepare = [](const AttentionOpSpec& spec, const Device& device) {
    return prepare_plain<AttentionPrefill>(spec, device, run_prefill, scratch_bytes(spec));
  };
  table.entry<AttentionDecode>().prepare = [](const AttentionOpSpec& spec,
                                              const Device& device) -> Result<Prepared<AttentionDecode>> {
    const std::int64_t parts = split_parts(spec) * attend_part_floats(heads_together(spec), spec.page.head_dim);
    CORBEL_ASSIGN(OpState state,
                  cpu_device(device).state(scratch_bytes(spec), static_cast<std::size_t>(parts) * sizeof(float)));
    return Prepared<AttentionDecode>(spec, run_decode, std::make_shared<const OpState>(std::move(state)));
  };
}

}  // namespace corbel::cpu
