#pragma once
#include <memory>
#include <string>

#include "corbel/device/device.h"
#include "corbel/format/model_package.h"

namespace corbel::app {

/// The package's weights packed as `quant` says ("w4", "w8", ...): an artifact in the cache folder, named by all that
/// the checkpoint holds and how it is packed; made on first use, with a line on standard error. Two processes that want
/// the same one make it once. Refused: an artifact
/// (it is packed as it is), no cache folder, what the compiler refuses.
Result<std::shared_ptr<const ModelPackage>> packed_package(const std::shared_ptr<const ModelPackage>& package,
                                                           const std::string& quant, Device& device);

}  // namespace corbel::app
