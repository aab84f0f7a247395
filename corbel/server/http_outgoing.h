#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "corbel/server/http_message.h"

namespace corbel {

/// What an endpoint has said and the connection has not yet sent. The endpoint's side is locked, the connection's side
/// waits on a timer that is cancelled when there is something new.
class HttpOutgoing final : public Responder, public std::enable_shared_from_this<HttpOutgoing> {
 public:
  using Timer = boost::asio::steady_timer;
  explicit HttpOutgoing(const boost::asio::any_io_executor& executor) : wake_(executor, Timer::time_point::max()) {}

  void respond(HttpResponse response) override;
  void begin(HttpResponse head) override;
  void write(std::string piece) override;
  void end() override;
  void on_gone(std::function<void()> gone) override;

  // The connection's side.
  bool begun();
  bool streams() const { return streams_; }  // once it has begun
  struct Next {
    bool ended = false;
    std::string piece;
  };
  Next take();
  HttpResponse& head() { return head_; }
  Timer& wake() { return wake_; }
  /// The connection is done with the answer, or with its client: who asked for it is told when something is left.
  void leave(bool all_sent);

 private:
  void notify();
  std::mutex mutex_;
  Timer wake_;
  HttpResponse head_;
  std::string pending_;
  bool begun_ = false, ended_ = false, streams_ = false, gone_ = false;
  std::function<void()> on_gone_;
};

}  // namespace corbel
