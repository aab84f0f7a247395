#include "corbel/ops/attention_reference.h"

namespace corbel {

Result<void> AttentionPrefill::check(const Spec& spec) { return check_attention(kName, spec); }

void AttentionPrefill::reference(const Spec& spec, const Args& args) noexcept {
  const HeadRows<const float> q(args.q, spec.page.head_dim);
  const HeadRows<float> out(args.out, spec.page.head_dim);
  const auto* slots = static_cast<const std::int32_t*>(args.slots.data);
  const Rows<const std::int32_t> spans(args.spans);
  for (std::int64_t s = 0; s < args.spans.rows(); ++s) {
    const std::int64_t first = spans[s][1];
    for (std::int64_t row = first; row < first + spans[s][2]; ++row)
      attend_row(spec, args.cache, q, out, {.sequence = spans[s][0], .slot = slots[row]}, row);
  }
}

}  // namespace corbel
