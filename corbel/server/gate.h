#pragma once
#include <functional>
#include <memory>
#include <string>

#include "corbel/server/api_keys.h"
#include "corbel/server/http_message.h"
#include "corbel/server/request_record.h"

namespace corbel {

/// Where every request comes through before its endpoint, and every answer on its way back: the request's number, keys.
class Gate {
 public:
  ApiKeys keys;  // one of them must come with a request, but for /health; empty: none is needed

  /// What goes on with a request that came through: it is answered, now or later. May throw.
  using Next = std::function<void(const HttpRequest& request, const std::shared_ptr<RequestRecord>& record,
                                  const std::shared_ptr<Responder>& responder)>;
  /// Never throws.
  void pass(HttpRequest request, std::shared_ptr<Responder> responder, const Next& next);

 private:
  bool check_key(const HttpRequest& request, RequestRecord& record) const;
};

}  // namespace corbel
