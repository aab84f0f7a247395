#include "corbel/format/tensor_source.h"

#include "corbel/base/cat.h"

namespace corbel {

std::string TensorSource::describe(std::string_view name) const {
  const std::optional<SourceTensor> tensor = find(name);
  if (!tensor) return "absent";
  return cat(*tensor->format, ' ', tensor->shape, " in ", tensor->file);
}

std::optional<SourceTensor> TensorSource::find_shaped(std::string_view name, const Shape&) const { return find(name); }

bool TensorSource::has(std::string_view name) const { return find(name).has_value(); }

}  // namespace corbel
