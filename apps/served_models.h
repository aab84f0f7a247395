#pragma once
#include <vector>

#include "apps/serve_flags.h"
#include "corbel/server/model_shelf.h"

namespace corbel::app {

/// The models that the flags name, MODEL or ALIAS=MODEL, each found but not opened. Refused: a model that is not there,
/// two of one name.
Result<std::vector<ShelvedModel>> served_models(const ServeFlags& flags);

}  // namespace corbel::app
