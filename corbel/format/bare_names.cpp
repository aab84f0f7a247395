#include "corbel/format/bare_names.h"

#include <algorithm>

namespace corbel {
namespace {

constexpr std::string_view kPrefix = "model.";

class FullNames final : public TensorSource {
 public:
  explicit FullNames(std::shared_ptr<const TensorSource> bare) : bare_(std::move(bare)) {}
  std::optional<SourceTensor> find(std::string_view name) const override {
    if (!name.starts_with(kPrefix)) return std::nullopt;
    std::optional<SourceTensor> tensor = bare_->find(name.substr(kPrefix.size()));
    if (tensor) tensor->name = name;
    return tensor;
  }
  std::string describe(std::string_view name) const override {
    return name.starts_with(kPrefix) ? bare_->describe(name.substr(kPrefix.size())) : bare_->describe(name);
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names = bare_->names();
    for (std::string& name : names) name.insert(0, kPrefix);
    return names;
  }
  std::string description() const override { return bare_->description(); }

 private:
  std::shared_ptr<const TensorSource> bare_;
};

}  // namespace

std::shared_ptr<const TensorSource> with_full_names(std::shared_ptr<const TensorSource> tensors) {
  if (!tensors->has("embed_tokens.weight")) return tensors;
  const std::vector<std::string> names = tensors->names();
  const bool full = std::ranges::any_of(
      names, [](const std::string& name) { return name.starts_with(kPrefix) || name.starts_with("lm_head."); });
  return full ? tensors : std::make_shared<FullNames>(std::move(tensors));
}

}  // namespace corbel
