#pragma once
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "corbel/server/tls.h"

struct ssl_st;  // OpenSSL's SSL

namespace corbel {

/// One side of a TLS conversation on a socket. OpenSSL reads and writes the socket itself and gives its buffers back
/// when there is nothing in them: an idle connection holds OpenSSL's bookkeeping alone. (Asio's own stream keeps four
/// buffers of 17 KiB for as long as it lives.) One strand only.
struct TlsSession {
  using tcp = boost::asio::ip::tcp;
  using error_code = boost::system::error_code;
  enum class Want : unsigned char { nothing, read, write };
  /// What trying once came to: it is done (with an error or without), or the socket must first be ready.
  struct Progress {
    Want want = Want::nothing;
    error_code failed;
    std::size_t bytes = 0;
  };

  TlsSession(tcp::socket connected, TlsIdentity::Context identity);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  Progress shake_hands() noexcept;
  Progress read(boost::asio::mutable_buffer into) noexcept;
  Progress write(boost::asio::const_buffer from) noexcept;
  /// Tells the other side that nothing more comes.
  Progress say_end() noexcept;

  tcp::socket socket;
  boost::asio::steady_timer deadline;

 private:
  Progress progress(int result) noexcept;
  TlsIdentity::Context context_;
  ssl_st* ssl_;
};

/// TLS over TCP as Beast's algorithms want a stream, with a deadline as beast::tcp_stream has one. One operation at a
/// time, but for a read that is cancelled. Moved, not copied.
class TlsStream {
 public:
  using executor_type = TlsSession::tcp::socket::executor_type;
  TlsStream(TlsSession::tcp::socket socket, TlsIdentity::Context context)
      : session_(std::make_shared<TlsSession>(std::move(socket), std::move(context))) {}

  executor_type get_executor() { return session_->socket.get_executor(); }
  TlsSession::tcp::socket& socket() { return session_->socket; }
  /// What is not done by then fails: the socket is closed.
  void expires_after(std::chrono::steady_clock::duration time);
  void expires_never() { session_->deadline.expires_at(std::chrono::steady_clock::time_point::max()); }

  template <typename Token>
  auto async_handshake(Token&& token) {
    return start<void(TlsSession::error_code)>([](TlsSession& session) { return session.shake_hands(); },
                                               std::forward<Token>(token));
  }

  template <typename Token>
  auto async_say_end(Token&& token) {
    return start<void(TlsSession::error_code)>([](TlsSession& session) { return session.say_end(); },
                                               std::forward<Token>(token));
  }

  template <typename Buffers, typename Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    const auto step = [buffers](TlsSession& session) { return session.read(first_of<Mutable>(buffers)); };
    return start<void(TlsSession::error_code, std::size_t)>(step, std::forward<Token>(token));
  }

  template <typename Buffers, typename Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    const auto step = [buffers](TlsSession& session) {
      // Small pieces that stand side by side (a chunk's head, text and end) go as one record.
      std::array<char, kRecordBytes> together;
      const auto first = first_of<Const>(buffers);
      if (first.size() >= together.size()) return session.write(first);
      const std::size_t bytes = boost::asio::buffer_copy(boost::asio::buffer(together), buffers);
      return session.write(boost::asio::buffer(together.data(), bytes));
    };
    return start<void(TlsSession::error_code, std::size_t)>(step, std::forward<Token>(token));
  }

 private:
  using Mutable = boost::asio::mutable_buffer;
  using Const = boost::asio::const_buffer;
  static constexpr std::size_t kRecordBytes = 4096;

  template <typename Buffer, typename Buffers>
  static Buffer first_of(const Buffers& buffers) {
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (auto at = boost::asio::buffer_sequence_begin(buffers); at != end; ++at) {
      if (const Buffer buffer(*at); buffer.size() > 0) return buffer;
    }
    return {};
  }

  /// Tries, waits for the socket, tries again.
  template <typename Signature, typename Step>
  struct Operation {
    std::shared_ptr<TlsSession> session;
    Step step;
    bool started = false;
    std::optional<TlsSession::Progress> done = std::nullopt;

    template <typename Self>
    void operator()(Self& self, TlsSession::error_code failed = {}) {
      TlsSession& with = *session;  // lives on in what `self` is moved to
      if (!done) {
        const TlsSession::Progress now = failed ? TlsSession::Progress{.failed = failed} : step(with);
        if (now.want != TlsSession::Want::nothing) {
          started = true;
          const auto kind = now.want == TlsSession::Want::read ? TlsSession::tcp::socket::wait_read
                                                               : TlsSession::tcp::socket::wait_write;
          with.socket.async_wait(kind, std::move(self));
          return;
        }
        done = now;
        if (!started) {  // nothing completes before its start has returned
          boost::asio::post(with.socket.get_executor(), std::move(self));
          return;
        }
      }
      finish(self, static_cast<Signature*>(nullptr));
    }

    template <typename Self>
    void finish(Self& self, void (*)(TlsSession::error_code)) {
      self.complete(done->failed);
    }
    template <typename Self>
    void finish(Self& self, void (*)(TlsSession::error_code, std::size_t)) {
      self.complete(done->failed, done->bytes);
    }
  };

  template <typename Signature, typename Step, typename Token>
  auto start(Step step, Token&& token) {
    return boost::asio::async_compose<Token, Signature>(Operation<Signature, Step>{session_, std::move(step)}, token,
                                                        session_->socket);
  }

  std::shared_ptr<TlsSession> session_;
};

}  // namespace corbel
