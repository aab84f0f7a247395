#pragma once
#include <string>

#include "corbel/engine/engine.h"
#include "corbel/server/metrics.h"

namespace corbel {

/// One request from its arrival to its last byte. Shared by the gate, its endpoint and the engine's callbacks.
class RequestRecord {
 public:
  std::string id;        // in the header x-request-id: the client's own, or made here
  std::string unique;    // made here, for names of answers: "chatcmpl-UNIQUE"
  std::string key_name;  // of the key it came with; empty: none
  std::string key_salt;

  /// Before a request goes to the engine: counts what becomes of it for the model's metrics, keeps its prefixes apart
  /// from those of other keys. Refused: what the server's limits do not allow.
  Result<void> admit(EngineRequest& request, ModelMetrics& metrics);
};

}  // namespace corbel
