#pragma once
#include <span>
#include <string>

#include "corbel/base/json.h"
#include "corbel/server/endpoints.h"

namespace corbel {

/// The API as an OpenAPI 3.1 document: the routes, and for each body the fields of the table in
/// corbel/chat/request_fields_table.cpp with their types and ranges.
Json openapi_json(std::span<const Route> routes, const std::string& version);

}  // namespace corbel
