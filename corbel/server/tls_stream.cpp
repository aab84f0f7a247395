#include "corbel/server/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <cerrno>
#include <climits>
#include <new>

namespace corbel {
namespace {

// How OpenSSL reaches the socket. Not its own BIO_s_socket: that one knows a number, which may be another connection's
// once the socket is closed, and a client that is gone would be a SIGPIPE.

/// After a system call that gave -1: later, or never.
int tell_failure(BIO* bio, void (*retry)(BIO*)) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) retry(bio);
  return -1;
}

TlsSession::tcp::socket& socket_of(BIO* bio) { return static_cast<TlsSession*>(BIO_get_data(bio))->socket; }

int write_socket(BIO* bio, const char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  if (!socket_of(bio).is_open()) return -1;
  const auto sent = ::send(socket_of(bio).native_handle(), data, static_cast<std::size_t>(bytes), MSG_NOSIGNAL);
  return sent < 0 ? tell_failure(bio, [](BIO* at) { BIO_set_retry_write(at); }) : static_cast<int>(sent);
}

int read_socket(BIO* bio, char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  if (!socket_of(bio).is_open()) return -1;
  const auto got = ::recv(socket_of(bio).native_handle(), data, static_cast<std::size_t>(bytes), 0);
  return got < 0 ? tell_failure(bio, [](BIO* at) { BIO_set_retry_read(at); }) : static_cast<int>(got);
}

long control_socket(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

/// Made once; nothing in it changes.
const BIO_METHOD* socket_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_write(made, write_socket);
    BIO_meth_set_read(made, read_socket);
    BIO_meth_set_ctrl(made, control_socket);
    return made;
  }();
  return method;
}

int size_of(std::size_t bytes) { return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)); }

}  // namespace

TlsSession::TlsSession(tcp::socket connected, TlsIdentity::Context identity)
    : socket(std::move(connected)), deadline(socket.get_executor()), context_(std::move(identity)) {
  error_code ignored;
  socket.native_non_blocking(true, ignored);
  ssl_ = SSL_new(context_->native_handle());
  BIO* const bio = ssl_ == nullptr ? nullptr : BIO_new(socket_method());
  if (bio == nullptr) {
    SSL_free(ssl_);
    throw std::bad_alloc();
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

TlsSession::Progress TlsSession::progress(int result) noexcept {
  const int failed = SSL_get_error(ssl_, result);
  ERR_clear_error();
  switch (failed) {
    case SSL_ERROR_WANT_READ: return {.want = Want::read};
    case SSL_ERROR_WANT_WRITE: return {.want = Want::write};
    case SSL_ERROR_ZERO_RETURN: return {.failed = boost::asio::error::eof};
    case SSL_ERROR_SYSCALL: return {.failed = boost::asio::error::connection_reset};
    default: return {.failed = boost::asio::error::connection_aborted};  // no TLS, or none that both speak
  }
}

TlsSession::Progress TlsSession::shake_hands() noexcept {
  ERR_clear_error();
  const int done = SSL_accept(ssl_);
  return done == 1 ? Progress{} : progress(done);
}

TlsSession::Progress TlsSession::read(boost::asio::mutable_buffer into) noexcept {
  if (into.size() == 0) return {};
  ERR_clear_error();
  const int got = SSL_read(ssl_, into.data(), size_of(into.size()));
  return got > 0 ? Progress{.bytes = static_cast<std::size_t>(got)} : progress(got);
}

TlsSession::Progress TlsSession::write(boost::asio::const_buffer from) noexcept {
  if (from.size() == 0) return {};
  ERR_clear_error();
  const int sent = SSL_write(ssl_, from.data(), size_of(from.size()));
  return sent > 0 ? Progress{.bytes = static_cast<std::size_t>(sent)} : progress(sent);
}

TlsSession::Progress TlsSession::say_end() noexcept {
  ERR_clear_error();
  const int done = SSL_shutdown(ssl_);
  return done >= 0 ? Progress{} : progress(done);
}

void TlsStream::expires_after(std::chrono::steady_clock::duration time) {
  session_->deadline.expires_after(time);
  session_->deadline.async_wait([watched = std::weak_ptr(session_)](TlsSession::error_code stopped) {
    const auto session = watched.lock();
    // It may have been put off when this was under way already.
    if (stopped || !session || session->deadline.expiry() > std::chrono::steady_clock::now()) return;
    session->socket.close(stopped);
  });
}

}  // namespace corbel
