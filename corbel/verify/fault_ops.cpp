#include "corbel/verify/fault_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "corbel/ops/head_rows.h"

namespace corbel::broken {
namespace {

/// A changed copy of an i32 index tensor, dense.
class ChangedIndex {
 public:
  template <typename Change>
  ChangedIndex(const TensorView& source, Change change) : numbers_(static_cast<std::size_t>(source.shape.elements())) {
    const Rows<const std::int32_t> rows(source);
    const std::int64_t columns = source.columns();
    for (std::int64_t r = 0; r < source.rows(); ++r) {
      for (std::int64_t c = 0; c < columns; ++c)
        numbers_[static_cast<std::size_t>(r * columns + c)] = change(rows[r][c], r * columns + c);
    }
    view_ = make_view(numbers_.data(), source.shape);
  }
  const TensorView& view() const { return view_; }

 private:
  std::vector<std::int32_t> numbers_;
  TensorView view_;
};

void change_scale(AttentionOpSpec& spec) {
  spec.softmax_scale = 1.0F / std::sqrt(static_cast<float>(spec.q_heads * spec.page.head_dim));
}
void drop_window(AttentionOpSpec& spec) { spec.window = 0; }
void widen_window(AttentionOpSpec& spec) { spec.window += spec.window > 0 ? 1 : 0; }

/// Every row but the last of its span sees the token behind it.
void see_next(const Prepared<AttentionPrefill>& truth, const AttentionPrefill::Args& args,
              RunContext& context) noexcept {
  std::vector<bool> is_last(static_cast<std::size_t>(args.slots.shape.elements()), true);
  const Rows<const std::int32_t> spans(args.spans);
  for (std::int64_t span = 0; span < args.spans.rows(); ++span) {
    for (std::int32_t row = spans[span][1]; row + 1 < spans[span][1] + spans[span][2]; ++row)
      is_last[static_cast<std::size_t>(row)] = false;
  }
  const ChangedIndex slots(args.slots, [&](std::int32_t slot, std::int64_t row) {
    return is_last[static_cast<std::size_t>(row)] ? slot : slot + 1;
  });
  AttentionPrefill::Args changed = args;
  changed.slots = slots.view();
  truth(changed, context);
}

void miss_own_token(const Prepared<AttentionDecode>& truth, const AttentionDecode::Args& args,
                    RunContext& context) noexcept {
  const ChangedIndex slots(args.slots, [](std::int32_t slot, std::int64_t) { return std::max(slot - 1, 0); });
  AttentionDecode::Args changed = args;
  changed.slots = slots.view();
  truth(changed, context);
}

/// Query head h reads key head h % kv_heads: heads are put where the true op reads that one, and their outputs back.
template <typename Op>
void interleave_heads(const Prepared<Op>& truth, const typename Op::Args& args, RunContext& context) noexcept {
  const AttentionOpSpec& spec = truth.spec();
  const std::int64_t group = spec.q_heads / spec.page.kv_heads;
  const std::int64_t dim = spec.page.head_dim;
  const HeadRows<float> source(args.q, dim);
  const HeadRows<float> target(args.out, dim);
  std::vector<float> moved(static_cast<std::size_t>(source.rows() * spec.q_heads * dim));
  const auto place = [&](std::int64_t row, std::int64_t head) {
    const std::int64_t at = head % spec.page.kv_heads * group + head / spec.page.kv_heads;
    return moved.data() + (row * spec.q_heads + at) * dim;
  };
  const auto bytes = static_cast<std::size_t>(dim) * sizeof(float);
  for (std::int64_t row = 0; row < source.rows(); ++row) {
    for (std::int64_t head = 0; head < spec.q_heads; ++head) std::memcpy(place(row, head), source(row, head), bytes);
  }
  typename Op::Args changed = args;
  changed.q = changed.out = make_view(moved.data(), {source.rows(), spec.q_heads, dim});
  truth(changed, context);
  for (std::int64_t row = 0; row < source.rows(); ++row) {
    for (std::int64_t head = 0; head < spec.q_heads; ++head) std::memcpy(target(row, head), place(row, head), bytes);
  }
}

void store_one_late(const Prepared<KvAppend>& truth, const KvAppend::Args& args, RunContext& context) noexcept {
  const ChangedIndex slots(args.slots, [](std::int32_t slot, std::int64_t) { return slot + 1; });
  KvAppend::Args changed = args;
  changed.slots = slots.view();
  truth(changed, context);
}

/// A shift of all positions would change nothing: rotary embeddings see differences. This one leaves position 0.
void shift_positions(const Prepared<RopeTable>& truth, const RopeTable::Args& args, RunContext& context) noexcept {
  const ChangedIndex positions(
      args.positions, [](std::int32_t position, std::int64_t) { return position > 0 ? position + 1 : position; });
  RopeTable::Args changed = args;
  changed.positions = positions.view();
  truth(changed, context);
}

void swap_layout(RopeApply::Spec& spec) {
  spec.layout = spec.layout == RopeApply::Layout::half ? RopeApply::Layout::interleaved : RopeApply::Layout::half;
}

bool normalizes_heads(const RmsNorm::Spec& spec, const FaultyDevice& device) {
  return spec.hidden == device.head_dim();
}

void copy_rows(const TensorView& from, const TensorView& to) noexcept {
  const Rows<const float> source(from);
  const Rows<float> target(to);
  const auto bytes = static_cast<std::size_t>(from.columns()) * sizeof(float);
  for (std::int64_t row = 0; row < from.rows(); ++row) std::memmove(target[row], source[row], bytes);
}

void pass_through(const Prepared<RmsNorm>&, const RmsNorm::Args& args, RunContext&) noexcept {
  copy_rows(args.x, args.out);
}

void add_one_to_gamma(RmsNorm::Spec& spec) { spec.gamma_plus_one = !spec.gamma_plus_one; }

void keep_branch_only(const Prepared<Add>&, const Add::Args& args, RunContext&) noexcept {
  copy_rows(args.b, args.out);
}

void look_up_next(const Prepared<Embedding>& truth, const Embedding::Args& args, RunContext& context) noexcept {
  const auto entries = static_cast<std::int32_t>(truth.spec().entries);
  const ChangedIndex ids(args.ids, [&](std::int32_t id, std::int64_t) { return (id + 1) % entries; });
  Embedding::Args changed = args;
  changed.ids = ids.view();
  truth(changed, context);
}

}  // namespace

void attention_scale(FaultyDevice& device) {
  device.change_spec<AttentionPrefill, change_scale>();
  device.change_spec<AttentionDecode, change_scale>();
}
void mask_off_by_one(FaultyDevice& device) { device.replace_run<AttentionPrefill, see_next>(); }
void wrong_kv_head(FaultyDevice& device) {
  device.replace_run<AttentionPrefill, interleave_heads<AttentionPrefill>>();
  device.replace_run<AttentionDecode, interleave_heads<AttentionDecode>>();
}
void window_dropped(FaultyDevice& device) {
  device.change_spec<AttentionPrefill, drop_window>();
  device.change_spec<AttentionDecode, drop_window>();
}
void window_off_by_one(FaultyDevice& device) {
  device.change_spec<AttentionPrefill, widen_window>();
  device.change_spec<AttentionDecode, widen_window>();
}
void decode_misses_own_token(FaultyDevice& device) { device.replace_run<AttentionDecode, miss_own_token>(); }
void kv_slot_off_by_one(FaultyDevice& device) { device.replace_run<KvAppend, store_one_late>(); }
void position_off_by_one(FaultyDevice& device) { device.replace_run<RopeTable, shift_positions>(); }
void rope_layout(FaultyDevice& device) { device.change_spec<RopeApply, swap_layout>(); }
void qk_norm_dropped(FaultyDevice& device) { device.replace_run_where<RmsNorm, normalizes_heads, pass_through>(); }
void norm_gamma_plus_one(FaultyDevice& device) { device.change_spec<RmsNorm, add_one_to_gamma>(); }
void residual_missing(FaultyDevice& device) { device.replace_run<Add, keep_branch_only>(); }
void token_id_off_by_one(FaultyDevice& device) { device.replace_run<Embedding, look_up_next>(); }

}  // namespace corbel::broken
