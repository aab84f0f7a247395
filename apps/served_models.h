#pragma once
#include <string>
#include <utility>
#include <vector>

#include "apps/serve_flags.h"
#include "corbel/server/model_shelf.h"

namespace corbel::app {

/// ALIAS=MODEL apart; a MODEL without an alias, or a path that is there, as it is.
std::pair<std::string, std::string> alias_and_path(const std::string& word);

/// The models that the flags name, MODEL or ALIAS=MODEL, each found but not opened. Refused: a model that is not there,
/// two of one name.
Result<std::vector<ShelvedModel>> served_models(const ServeFlags& flags);

}  // namespace corbel::app
