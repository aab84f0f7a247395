#pragma once
#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "corbel/base/result.h"
#include "corbel/hub/http_client.h"
#include "corbel/hub/repository_listing.h"

namespace corbel {

/// Which hub, and how to speak with it.
struct HubAccess {
  std::string endpoint = "https://huggingface.co";
  std::string token;  // a secret; empty: none. Goes to the endpoint's own host alone and into no message
  std::string user_agent = "corbel";
  int retries = 5;  // after a failure without one more byte; waits 0.5 s, then twice as long each time, at most 8 s
  HttpTimes times;
  const std::atomic<bool>* cancel = nullptr;
};

/// Refused: an endpoint that is no HTTP address, a token that no header could carry.
Result<void> check_access(HubAccess& access);

/// Where a file's bytes go, in order, over as many connections as it takes.
struct HubSink {
  std::function<std::int64_t()> position;                // the next byte wanted
  std::function<Result<void>(std::int64_t from)> begin;  // bytes come from here on: position(), or 0 again
  std::function<Result<void>(std::span<const std::byte> bytes)> add;
};

/// Asks a hub: follows redirects (the token stays behind), tries again what may go well another time, and says in its
/// messages what was refused and what to do. One thread.
class HubClient {
 public:
  /// `access` is checked and outlives this. `stop`: as access.cancel, of those who work together.
  HubClient(const HubAccess& access, const std::atomic<bool>& stop);

  /// The files of ORG/NAME at a branch, tag or commit.
  Result<RepositoryListing> list(const std::string& repository, const std::string& revision);
  /// Size and hash of a file that the list says nothing of.
  Result<RemoteFile> describe(const std::string& repository, const std::string& commit, const RemoteFile& file);
  /// The bytes of a file from sink.position() on.
  Result<void> read(const std::string& repository, const std::string& commit, const RemoteFile& file,
                    const HubSink& sink);
  bool cancelled() const;

 private:
  struct Question;
  struct Answer;
  Answer ask_once(const Question& question);
  Result<HttpHead> ask(const Question& question);
  Failure refusal(const Question& question, const Answer& answer) const;
  bool wait(std::chrono::milliseconds time) const;
  std::string without_token(std::string text) const;
  std::string file_url(const std::string& repository, const std::string& commit, const std::string& path) const;

  const HubAccess& access_;
  const std::atomic<bool>& stop_;
  HttpClient http_;
};

}  // namespace corbel
