#pragma once
#include <vector>

#include "corbel/model/family.h"

namespace corbel {

/// Generated from the folders of models/ and of CORBEL_MODELS_DIRS; applications and tests link it.
std::vector<ModelFamily> linked_model_families();

}  // namespace corbel
