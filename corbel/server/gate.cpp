#include "corbel/server/gate.h"

#include <algorithm>
#include <cctype>
#include <exception>
#include <random>

#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

/// Puts the request's number into every answer's head.
class NumberedResponder final : public Responder {
 public:
  NumberedResponder(std::shared_ptr<Responder> inner, std::shared_ptr<RequestRecord> record)
      : inner_(std::move(inner)), record_(std::move(record)) {}
  void respond(HttpResponse response) override {
    response.headers.emplace_back("x-request-id", record_->id);
    inner_->respond(std::move(response));
  }
  void begin(HttpResponse head) override {
    head.headers.emplace_back("x-request-id", record_->id);
    inner_->begin(std::move(head));
  }
  void write(std::string piece) override { inner_->write(std::move(piece)); }
  void end() override { inner_->end(); }
  void on_gone(std::function<void()> gone) override { inner_->on_gone(std::move(gone)); }

 private:
  std::shared_ptr<Responder> inner_;
  std::shared_ptr<RequestRecord> record_;
};

/// 16 hex digits that no other request of any server is likely to have.
std::string fresh_number() {
  thread_local std::mt19937_64 numbers{(std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  std::uint64_t number = numbers();
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (int digit = 0; digit < 16; ++digit, number >>= 4) text += kHex[number & 15];
  return text;
}

/// A client's own number of a request goes into headers and logs: short and plain, or not at all.
bool is_plain_id(std::string_view id) {
  constexpr std::size_t kLongest = 128;
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == ':';
  };
  return !id.empty() && id.size() <= kLongest && std::ranges::all_of(id, plain);
}

}  // namespace

bool Gate::check_key(const HttpRequest& request, RequestRecord& record) const {
  if (keys.empty()) return true;
  std::string_view given = request.header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (!given.starts_with(kBearer)) return false;
  given.remove_prefix(kBearer.size());
  const ApiKeys::Key* const key = keys.find(given);
  if (key == nullptr) return false;
  record.key_name = key->name;
  record.key_salt = key->salt;
  return true;
}

void Gate::pass(HttpRequest request, std::shared_ptr<Responder> responder, const Next& next) {
  const auto record = std::make_shared<RequestRecord>();
  record->unique = fresh_number();
  const std::string_view asked = request.header("x-request-id");
  record->id = is_plain_id(asked) ? std::string(asked) : cat("req_", record->unique);
  const auto numbered = std::make_shared<NumberedResponder>(std::move(responder), record);
  try {
    if (request.path != "/health" && !check_key(request, *record))
      return numbered->respond(
          error_response(401, "a valid API key is needed: the header \"Authorization: Bearer KEY\""));
    next(request, record, numbered);
  } catch (const std::exception& thrown) {  // of a standard library: no memory
    numbered->respond(error_response(503, cat("out of resources: ", thrown.what()), "server_error"));
  }
}

}  // namespace corbel
