#include "corbel/ops/attention_reference.h"

namespace corbel {

Result<void> AttentionDecode::check(const Spec& spec) { return check_attention(kName, spec); }

void AttentionDecode::reference(const Spec& spec, const Args& args) noexcept {
  const HeadRows<const float> q(args.q, spec.page.head_dim);
  const HeadRows<float> out(args.out, spec.page.head_dim);
  const auto* sequences = static_cast<const std::int32_t*>(args.sequences.data);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  for (std::int64_t row = 0; row < q.rows(); ++row)
    attend_row(spec, args.cache, q, out, {.sequence = sequences[row], .slot = slots[row]}, row);
}

}  // namespace corbel
