#include "corbel/blocks/weights.h"

#include <algorithm>

#include "corbel/format/packed_format.h"

namespace corbel {

Result<SourceTensor> WeightStore::find(const std::string& name, const Shape& shape) {
  auto found = source_->find_shaped(name, shape);
  if (!found) {
    return fail(Code::bad_file,
                cat(source_->description(), ": tensor \"", name, "\" is missing; the model expects it as ", shape));
  }
  if (!(found->shape == shape)) {
    return fail(Code::bad_file, cat(found->file, ": tensor \"", name, "\" is ", found->format->name, ' ', found->shape,
                                    ", the model expects ", shape, " (sizes from config.json)"));
  }
  // A tied matrix is asked for twice and counted once.
  if (used_.insert(name).second) {
    if (shape.rank() > 1)
      (found->is_copy ? owned_bytes_ : mapped_bytes_) += static_cast<std::int64_t>(found->bytes.size());
    uses_.push_back({.name = name, .shape = shape});
  }
  return std::move(*found);
}

Result<WeightRef> WeightStore::matrix(const std::string& name, std::int64_t rows, std::int64_t columns,
                                      const std::string& input) {
  CORBEL_ASSIGN(const SourceTensor tensor, find(name, {rows, columns}));
  for (WeightUse& use : uses_) {
    if (use.name != name) continue;
    use.gathered = use.gathered || input.empty();
    if (use.input.empty()) use.input = input;
  }
  bases_.push_back({tensor.bytes.data(), std::ssize(tensor.bytes)});
  return WeightRef{&bases_.back(), 0, tensor.format, tensor.shape};
}

Result<TensorView> WeightStore::vector(const std::string& name, std::int64_t size) {
  CORBEL_ASSIGN(const SourceTensor tensor, find(name, {size}));
  if (tensor.format->packed != nullptr || size % tensor.format->block_values != 0) {
    return fail(Code::bad_file,
                cat(tensor.file, ": tensor \"", name, "\" of ", size, " values cannot be ", tensor.format->name));
  }
  std::vector<float>& values = vectors_.emplace_back(static_cast<std::size_t>(size));
  tensor.format->decode(tensor.bytes.data(), size, values.data());
  owned_bytes_ += size * dtype_bytes(DType::f32);
  return make_view(values.data(), {size});
}

Result<void> WeightStore::check_all_used(const std::vector<std::string_view>& ignored) const {
  std::string unused;
  int count = 0;
  for (const std::string& name : source_->names()) {
    if (used_.contains(name)) continue;
    if (std::any_of(ignored.begin(), ignored.end(), [&](std::string_view ending) { return name.ends_with(ending); }))
      continue;
    if (++count <= 3) unused += cat(count > 1 ? ", \"" : "\"", name, '"');
  }
  if (count == 0) return {};
  return fail(Code::bad_file, cat(source_->description(), ": ", count,
                                  " tensor(s) of the checkpoint are not used by this model: ", unused,
                                  count > 3 ? ", ..." : "", "; is config.json the one of these weights?"));
}

std::string RoleNames::module(std::string_view role) const {
  const auto found =
      std::find_if(roles_.begin(), roles_.end(), [&](const WeightRole& entry) { return entry.role == role; });
  if (found == roles_.end()) return {};
  std::string name(found->module);
  constexpr std::string_view kPlaceholder = "{layer}";
  if (const auto at = name.find(kPlaceholder); at != std::string::npos) {
    CORBEL_CHECK(layer_ >= 0, "role ", role, " belongs to a layer");
    name.replace(at, kPlaceholder.size(), std::to_string(layer_));
  }
  return name;
}

void LinearLayer::run(const TensorView& x, std::initializer_list<TensorView> out, RunContext& context) const noexcept {
  context.tap(input, ".input", x);
  Linear::Args args;
  args.x = x;
  for (int i = 0; i < op.spec().weights; ++i) {
    args.weights[i] = weights[i].data();
    args.biases[i] = biases[i];
  }
  std::copy(out.begin(), out.end(), args.out.begin());
  op(args, context);
}

Result<LinearLayer> make_linear(const LinearPlan& plan, const WeightContext& context) {
  CORBEL_CHECK(!plan.parts.empty() && plan.parts.size() <= Linear::kMaxWeights, "a linear layer has 1 to 4 weights");
  LinearLayer layer;
  layer.input = plan.parts.front().module;
  Linear::Spec spec{.in_features = plan.in_features, .weights = static_cast<int>(plan.parts.size())};
  spec.activation = plan.activation;
  spec.gated = plan.gated;
  bool all_bf16 = true;
  bool all_integers = true;
  int with_scales = 0;  // bf16 arithmetic takes weights with scales or without, not both
  for (int i = 0; i < spec.weights; ++i) {
    const LinearPart& part = plan.parts[i];
    CORBEL_ASSIGN(layer.weights[i],
                  context.store.matrix(part.module + ".weight", part.out_features, plan.in_features, layer.input));
    spec.outputs[i] = {part.out_features, layer.weights[i].format, false};
    const PackedCodec* const codec = layer.weights[i].format->packed;
    const bool scaled = codec != nullptr && !codec->has_integers() && codec->has_scales();
    with_scales += scaled ? 1 : 0;
    all_bf16 = all_bf16 && (layer.weights[i].format == &bf16_format() || (codec != nullptr && codec->numbers_are_bf16));
    all_integers = all_integers && codec != nullptr && codec->has_integers();
    if (const std::string bias = part.module + ".bias"; part.needs_bias || context.store.has(bias)) {
      CORBEL_ASSIGN(layer.biases[i], context.store.vector(bias, part.out_features));
      spec.outputs[i].has_bias = true;
    }
  }
  all_bf16 = all_bf16 && (with_scales == 0 || with_scales == spec.weights);
  spec.arithmetic = plan.bf16_products && all_integers ? Arithmetic::int8
                    : plan.bf16_products && all_bf16   ? Arithmetic::bf16
                                                       : Arithmetic::f32;
  CORBEL_ASSIGN(layer.op, context.device.prepare<Linear>(spec));
  return layer;
}

}  // namespace corbel
