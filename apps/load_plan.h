#pragma once
#include <random>
#include <string>
#include <vector>

#include "apps/load_client.h"

/// What a load consists of: how long prompts and answers are, which words, and when requests come.
namespace corbel::app {

/// "100", "uniform:50-200" or "normal:100,20" (mean, deviation; at least 1).
class TokenCounts {
 public:
  static Result<TokenCounts> read(std::string_view flag, const std::string& text);
  std::int64_t draw(std::mt19937_64& random) const;

 private:
  enum class Kind { fixed, uniform, normal } kind_ = Kind::fixed;
  double first_ = 0.0, second_ = 0.0;
};

struct LoadSettings {
  std::int64_t requests = 100;
  double rate = 0.0;  // requests a second, at random distances (Poisson); 0: as fast as places become free
  TokenCounts prompt, answer;
  std::uint64_t seed = 1;
  bool chat = true;  // /v1/chat/completions, else /v1/completions
  bool streams = true;
  std::string model;  // empty: the first that the server lists
};

/// The server as it was found: what it is called, and what can be asked of it.
struct LoadSubject {
  std::string model;
  bool counts_tokens = false;        // has /tokenize
  bool ignores_eos = false;          // takes "ignore_eos"
  std::int64_t template_tokens = 0;  // of a prompt besides its words, where tokens can be counted
};

/// Asks for the models, whether there is /tokenize, and what a first, small answer says.
Result<LoadSubject> examine_subject(const LoadTarget& target, const LoadSettings& settings, double timeout_seconds);
/// The bodies of all requests; prompts of random words, with the exact number of tokens where they can be counted.
Result<std::vector<LoadRequest>> make_load(const LoadTarget& target, const LoadSettings& settings,
                                           const LoadSubject& subject);

}  // namespace corbel::app
