#include "corbel/server/request_record.h"

namespace corbel {

Result<void> RequestRecord::admit(EngineRequest& request, ModelMetrics& metrics) {
  if (request.prefix_salt.empty()) request.prefix_salt = key_salt;
  request.on_end = [&metrics, next = std::move(request.on_end)](GenerateResult result) {
    metrics.note_end(result);
    next(std::move(result));
  };
  return {};
}

}  // namespace corbel
