#pragma once
#include <string>

#include "corbel/model/family.h"

namespace corbel {

/// Defined by the file that CMake generates per family.
ModelFamily family_under_test();
/// Its folder of goldens.
std::string golden_root();

}  // namespace corbel
