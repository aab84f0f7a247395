#include <algorithm>
#include <cstring>

#include "corbel/device/cpu/cpu_ops.h"
#include "corbel/device/run_context.h"

// Ops that work row by row: lookups, sums, norms.

namespace corbel::cpu {
namespace {

void run_embedding(const Prepared<Embedding>& self, const Embedding::Args& args, RunContext&) noexcept {
  const Embedding::Spec& spec = self.spec();
  const auto* ids = static_cast<const std::int32_t*>(args.ids.data);
  const Rows<float> out(args.out);
  for_rows(*state_of(self).pool, args.out.rows(), spec.hidden, [&](std::int64_t row, int) {
    float* const values = out[row];
    spec.format->decode_row(args.table, spec.hidden, ids[row], values);
    if (spec.scale == 1.0F) return;
    for (std::int64_t i = 0; i < spec.hidden; ++i) values[i] *= spec.scale;
  });
}

void run_add(const Prepared<Add>& self, const Add::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const Rows<const float> a(args.a);
  const Rows<const float> b(args.b);
  const Rows<float> out(args.out);
  const std::int64_t hidden = self.spec().hidden;
  for_rows(*state.pool, args.out.rows(), hidden,
           [&](std::int64_t row, int) { state.kernels->add(a[row], b[row], out[row], hidden); });
}

void run_gather_rows(const Prepared<GatherRows>& self, const GatherRows::Args& args, RunContext&) noexcept {
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* index = static_cast<const std::int32_t*>(args.index.data);
  const std::int64_t hidden = self.spec().hidden;
  for_rows(*state_of(self).pool, args.out.rows(), hidden, [&](std::int64_t row, int) {
    std::memcpy(out[row], x[index[row]], static_cast<std::size_t>(hidden) * sizeof(float));
  });
}

void run_rms_norm(const Prepared<RmsNorm>& self, const RmsNorm::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const RmsNorm::Spec& spec = self.spec();
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* gamma = static_cast<const float*>(args.gamma.data);
  for_rows(*state.pool, args.x.rows(), spec.hidden, [&](std::int64_t row, int) {
    state.kernels->rms_norm(x[row], gamma, out[row], spec.hidden, spec.eps, spec.gamma_plus_one ? 1 : 0);
  });
}

void run_layer_norm(const Prepared<LayerNorm>& self, const LayerNorm::Args& args, RunContext&) noexcept {
  const OpState& state = state_of(self);
  const LayerNorm::Spec& spec = self.spec();
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  const auto* gamma = static_cast<const float*>(args.gamma.data);
  const auto* beta = static_cast<const float*>(args.beta.data);
  for_rows(*state.pool, args.x.rows(), spec.hidden, [&](std::int64_t row, int) {
    state.kernels->layer_norm(x[row], gamma, beta, out[row], spec.hidden, spec.eps);
  });
}

}  // namespace

void add_row_ops(OpTable& table) {
  table.entry<Embedding>().prepare = [](const Embedding::Spec& spec, const Device& device) {
    return prepare_plain<Embedding>(spec, device, run_embedding);
  };
  table.entry<Add>().prepare = [](const Add::Spec& spec, const Device& device) {
    return prepare_plain<Add>(spec, device, run_add);
  };
  table.entry<GatherRows>().prepare = [](const GatherRows::Spec& spec, const Device& device) {
    return prepare_plain<GatherRows>(spec, device, run_gather_rows);
  };
  table.entry<RmsNorm>().prepare = [](const RmsNorm::Spec& spec, const Device& device) {
    return prepare_plain<RmsNorm>(spec, device, run_rms_norm);
  };
  table.entry<LayerNorm>().prepare = [](const LayerNorm::Spec& spec, const Device& device) {
    return prepare_plain<LayerNorm>(spec, device, run_layer_norm);
  };
}

}  // namespace corbel::cpu
