#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "corbel/format/tensor_source.h"

namespace corbel {

/// A checkpoint with something wrong: tensors under other names, or with other bytes. Everything else is the base's.
class AlteredSource : public TensorSource {
 public:
  explicit AlteredSource(std::shared_ptr<const TensorSource> base) : base_(std::move(base)) {}

  std::optional<SourceTensor> find(std::string_view name) const override;
  std::optional<SourceTensor> find_shaped(std::string_view name, const Shape& wanted) const override;
  bool has(std::string_view name) const override { return base_->has(rename(name)); }
  std::string describe(std::string_view name) const override { return base_->describe(rename(name)); }
  std::vector<std::string> names() const override { return base_->names(); }
  std::string description() const override { return base_->description(); }

 protected:
  /// The tensor of the base that is handed out under `name`; names must be permuted, not lost.
  virtual std::string rename(std::string_view name) const { return std::string(name); }
  /// Other bytes for a tensor, or nothing to leave it as it is. `asked` counts how often it was loaded: 1, 2, ...
  virtual std::optional<std::vector<std::byte>> alter(const SourceTensor& tensor, int asked) const;

 private:
  std::optional<SourceTensor> altered(std::optional<SourceTensor> found, std::string_view name, int asked) const;
  std::shared_ptr<const TensorSource> base_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, int, std::less<>> asked_;
  mutable std::map<std::pair<std::string, int>, std::vector<std::byte>> copies_;
};

}  // namespace corbel
