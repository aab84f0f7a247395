#pragma once
#include "corbel/compile/compile.h"
#include "corbel/format/model_package.h"

namespace corbel::app {

/// What the compiler wants to know of a package: tensors, config, files to carry along, name, hash of its content.
Result<CompileSource> open_compile_source(const ModelPackage& package);

}  // namespace corbel::app
