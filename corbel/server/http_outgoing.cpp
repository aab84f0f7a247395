#include "corbel/server/http_outgoing.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace corbel {

void HttpOutgoing::respond(HttpResponse response) {
  const std::lock_guard lock(mutex_);
  if (begun_ || gone_) return;
  head_ = std::move(response);
  begun_ = ended_ = true;
  notify();
}

void HttpOutgoing::begin(HttpResponse head) {
  const std::lock_guard lock(mutex_);
  if (begun_ || gone_) return;
  head_ = std::move(head);
  begun_ = streams_ = true;
  notify();
}

void HttpOutgoing::write(std::string piece) {
  const std::lock_guard lock(mutex_);
  if (ended_ || gone_ || piece.empty()) return;
  pending_ += piece;
  notify();
}

void HttpOutgoing::end() {
  const std::lock_guard lock(mutex_);
  if (ended_ || gone_) return;
  ended_ = true;
  notify();
}

void HttpOutgoing::on_gone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      on_gone_ = std::move(gone);
      return;
    }
  }
  gone();
}

bool HttpOutgoing::begun() {
  const std::lock_guard lock(mutex_);
  return begun_;
}

HttpOutgoing::Next HttpOutgoing::take() {
  const std::lock_guard lock(mutex_);
  return {ended_, std::exchange(pending_, {})};
}

void HttpOutgoing::leave(bool all_sent) {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    if (gone_) return;
    gone_ = true;
    gone = std::exchange(on_gone_, nullptr);
  }
  if (gone && !all_sent) gone();
}

void HttpOutgoing::notify() {
  boost::asio::post(wake_.get_executor(), [self = shared_from_this()] { self->wake_.cancel(); });
}

}  // namespace corbel
