// JsonFields looks into a document that must outlive it.
// expect: use of deleted function
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"

bool use() {
#ifdef CORBEL_MUST_COMPILE
  const corbel::Json document = corbel::Json::object();
  const corbel::JsonFields fields(document, "config.json");
#else
  const corbel::JsonFields fields(corbel::Json::object(), "config.json");
#endif
  return fields.has("hidden_size");
}
