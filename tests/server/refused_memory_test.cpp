// Memory that is refused while connections come, are answered and go: the server goes on. A program of its own: it
// replaces the global operator new, and the allocation that asio's frames come from.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>

#include "corbel/server/http_server.h"

namespace {

// Smaller ones are not refused: asio's own strands do not survive that.
constexpr std::size_t kLeast = 512;
constexpr std::int64_t kNone = -1000;
thread_local bool is_client = false;             // the test's own thread always finds memory
std::atomic<std::int64_t> refuse_at = kNone;     // the server's allocation that fails, counted down; negative: none
std::atomic<std::int64_t> refused_in_a_row = 1;  // and how many after it

bool is_refused(std::size_t bytes) {
  if (is_client || bytes < kLeast || refuse_at.load() < -refused_in_a_row.load()) return false;
  const std::int64_t left = refuse_at.fetch_sub(1);
  return left <= 0 && left > -refused_in_a_row.load();
}

void* allocated(std::size_t bytes) {
  void* const memory = is_refused(bytes) ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocated(bytes); }
void* operator new[](std::size_t bytes) { return allocated(bytes); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  void* memory = nullptr;
  return is_refused(bytes) || posix_memalign(&memory, alignment, bytes) != 0 ? nullptr : memory;
}

namespace corbel {
namespace {

class RefusedMemory : public testing::Test {
 protected:
  RefusedMemory() {
    is_client = true;
    auto made = HttpServer::listen({.port = 0, .workers = 2},
                                   [](const HttpRequest& request, const std::shared_ptr<Responder>& out) {
                                     if (request.path == "/throws") throw std::bad_alloc();
                                     out->respond({.body = std::string(2000, 'a') + request.path});
                                   });
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    server_ = *std::move(made);
    thread_ = std::thread([this] { server_->run(); });
  }
  ~RefusedMemory() override {
    server_->stop();
    thread_.join();
  }
  /// What comes back for one request on a connection of its own, as far as it comes within `milliseconds`.
  std::string ask(const std::string& path, int milliseconds) const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{milliseconds / 1000, milliseconds % 1000 * 1000};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      const std::string request =
          "POST " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
      ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
      char piece[4096];
      for (ssize_t got = 0; (got = ::recv(socket, piece, sizeof piece, 0)) > 0;)
        answer.append(piece, static_cast<std::size_t>(got));
    }
    ::close(socket);
    return answer;
  }

  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(RefusedMemory, AtAnyAllocationCostsAtMostItsOwnConnection) {
  constexpr int kSoon = 100;
  constexpr int kPatient = 20'000;
  const std::string whole = ask("/whole", kPatient);
  ASSERT_TRUE(whole.starts_with("HTTP/1.1 200")) << whole;
  for (const std::int64_t in_a_row : {1, 3}) {
    refused_in_a_row = in_a_row;
    std::int64_t at = 0;
    for (int untouched = 0; untouched < 3; ++at) {
      refuse_at = at;
      ask("/some", kSoon);
      untouched = refuse_at.exchange(kNone) > 0 ? untouched + 1 : 0;  // none was refused: all places have been tried
      ASSERT_TRUE(ask("/whole", kPatient).ends_with("/whole")) << "after allocation " << at;
      ASSERT_LT(at, 1000);
    }
    EXPECT_GT(at, 10);
  }
}

TEST_F(RefusedMemory, OfAHandlerIsAnswered503) {
  EXPECT_TRUE(ask("/throws", 20'000).starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(ask("/whole", 20'000).ends_with("/whole"));
}

}  // namespace
}  // namespace corbel
