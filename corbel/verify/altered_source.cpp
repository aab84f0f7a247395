#include "corbel/verify/altered_source.h"

namespace corbel {

std::optional<std::vector<std::byte>> AlteredSource::alter(const SourceTensor&, int) const { return std::nullopt; }

std::optional<SourceTensor> AlteredSource::find(std::string_view name) const {
  return altered(base_->find(rename(name)), name, 1);
}

std::optional<SourceTensor> AlteredSource::find_shaped(std::string_view name, const Shape& wanted) const {
  int asked = 0;
  {
    const std::lock_guard lock(mutex_);
    asked = ++asked_[std::string(name)];
  }
  return altered(base_->find_shaped(rename(name), wanted), name, asked);
}

std::optional<SourceTensor> AlteredSource::altered(std::optional<SourceTensor> found, std::string_view name,
                                                   int asked) const {
  if (!found) return found;
  found->name = std::string(name);
  const std::lock_guard lock(mutex_);
  const auto key = std::make_pair(found->name, asked);
  auto copy = copies_.find(key);
  if (copy == copies_.end()) {
    auto bytes = alter(*found, asked);
    if (!bytes) return found;
    copy = copies_.emplace(key, *std::move(bytes)).first;
  }
  found->bytes = copy->second;
  return found;
}

}  // namespace corbel
