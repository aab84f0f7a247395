#include "corbel/ops/rows.h"

#include <cstring>

#include "corbel/ops/spec_check.h"

namespace corbel {

Result<void> Embedding::check(const Spec& spec) {
  CORBEL_TRY(check_size(kName, "entries", spec.entries));
  CORBEL_TRY(check_size(kName, "hidden", spec.hidden));
  CORBEL_TRY(check_finite(kName, "scale", spec.scale));
  if (spec.format == nullptr) return refuse(kName, "format is missing, it must name a weight format");
  if (spec.format->packed == nullptr && spec.hidden % spec.format->block_values != 0) {
    return refuse(kName, cat("hidden is ", spec.hidden, ", it must be a multiple of ", spec.format->block_values,
                             " for a table in ", spec.format->name));
  }
  return {};
}

void Embedding::reference(const Spec& spec, const Args& args) noexcept {
  const auto* ids = static_cast<const std::int32_t*>(args.ids.data);
  const Rows<float> out(args.out);
  for (std::int64_t r = 0; r < args.out.rows(); ++r) {
    spec.format->decode_row(args.table, spec.hidden, ids[r], out[r]);
    if (spec.scale == 1.0F) continue;
    for (std::int64_t i = 0; i < spec.hidden; ++i) out[r][i] *= spec.scale;
  }
}

Result<void> Add::check(const Spec& spec) { return check_size(kName, "hidden", spec.hidden); }

void Add::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const float> a(args.a);
  const Rows<const float> b(args.b);
  const Rows<float> out(args.out);
  for (std::int64_t r = 0; r < args.out.rows(); ++r)
    for (std::int64_t i = 0; i < spec.hidden; ++i) out[r][i] = a[r][i] + b[r][i];
}

Result<void> GatherRows::check(const Spec& spec) { return check_size(kName, "hidden", spec.hidden); }

void GatherRows::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* index = static_cast<const std::int32_t*>(args.index.data);
  for (std::int64_t r = 0; r < args.out.rows(); ++r)
    std::memcpy(out[r], x[index[r]], static_cast<std::size_t>(spec.hidden) * sizeof(float));
}

}  // namespace corbel
