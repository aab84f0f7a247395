#include "apps/load_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"

namespace corbel::app {
namespace {

constexpr double kMostTokens = 1 << 20;
constexpr double kAskSeconds = 60.0;

/// Words that most vocabularies have whole, so that a word is about a token.
constexpr auto kWords = std::to_array<std::string_view>(
    {"time",  "water", "house", "light", "small", "green", "river", "stone", "under", "paper", "music", "world",
     "money", "table", "night", "heart", "black", "story", "south", "plant", "sound", "field", "white", "power",
     "place", "point", "right", "young", "early", "horse", "glass", "north", "train", "fruit", "chair", "cloud"});

std::string random_words(std::mt19937_64& random, std::int64_t count) {
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += kWords[random() % kWords.size()];
  }
  return text;
}

Result<std::int64_t> count_tokens(const LoadTarget& target, const std::string& model, const std::string& text) {
  const Json body = {{"model", model}, {"prompt", text}, {"content", text}, {"add_special_tokens", false}};
  CORBEL_ASSIGN(const LoadReply reply, ask_server(target, "/tokenize", body.dump(), kAskSeconds));
  const Json json = Json::parse(reply.body, nullptr, false);
  if (reply.status != 200 || !json.is_object() || !json.contains("tokens") || !json["tokens"].is_array())
    return fail(Code::unsupported, "the server does not count tokens");
  return static_cast<std::int64_t>(json["tokens"].size());
}

/// Words of exactly so many tokens: drawn, counted, and made longer or shorter until they fit.
Result<std::string> exact_words(const LoadTarget& target, const std::string& model, std::mt19937_64& random,
                                std::int64_t tokens) {
  constexpr int kTries = 24;
  std::int64_t words = tokens;
  std::string text = random_words(random, words);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    CORBEL_ASSIGN(const std::int64_t counted, count_tokens(target, model, text));
    if (counted == tokens) return text;
    if (counted > tokens) {
      words = std::max<std::int64_t>(1, words * tokens / counted);
      text = random_words(random, words);
    } else if (tokens - counted > 4) {
      text += ' ' + random_words(random, std::max<std::int64_t>(1, (tokens - counted) / 2));
    } else {
      text += attempt % 2 == 0 ? std::string(" a") : cat(' ', kWords[random() % kWords.size()]);
    }
  }
  return text;  // one word spells itself oddly; usage tells what it was
}

Json prompt_fields(const LoadSettings& settings, const std::string& model, const std::string& text) {
  Json body = {{"model", model}};
  if (settings.chat)
    body["messages"] = Json::array({{{"role", "user"}, {"content", text}}});
  else
    body["prompt"] = text;
  return body;
}

std::string path_of(const LoadSettings& settings) { return settings.chat ? "/v1/chat/completions" : "/v1/completions"; }

std::int64_t prompt_tokens_of(const LoadReply& reply) {
  const Json json = Json::parse(reply.body, nullptr, false);
  if (!json.is_object() || !json.contains("usage") || !json["usage"].is_object()) return 0;
  return json["usage"].value("prompt_tokens", std::int64_t{0});
}

std::string error_text(const LoadReply& reply) { return cat("status ", reply.status, ": ", reply.body.substr(0, 400)); }

}  // namespace

Result<TokenCounts> TokenCounts::read(std::string_view flag, const std::string& text) {
  TokenCounts counts;
  std::string_view rest = text;
  char between = '\0';
  if (rest.starts_with("uniform:")) {
    counts.kind_ = Kind::uniform;
    between = '-';
  } else if (rest.starts_with("normal:")) {
    counts.kind_ = Kind::normal;
    between = ',';
  }
  if (between != '\0') rest.remove_prefix(rest.find(':') + 1);
  const auto number = [](std::string_view part, double& value) {
    const auto read = std::from_chars(part.data(), part.data() + part.size(), value);
    return read.ec == std::errc() && read.ptr == part.data() + part.size() && value >= 1.0 && value <= kMostTokens;
  };
  const std::size_t cut = between == '\0' ? rest.size() : std::min(rest.find(between), rest.size());
  bool good = number(rest.substr(0, cut), counts.first_);
  if (between != '\0')
    good = good && cut < rest.size() && number(rest.substr(cut + 1), counts.second_) &&
           (between == ',' || counts.second_ >= counts.first_);
  if (!good)
    return fail(Code::bad_request, cat("--", flag, " is \"", text,
                                       "\"; expected a number of tokens, uniform:LOW-HIGH or normal:MEAN,DEVIATION"));
  return counts;
}

std::int64_t TokenCounts::draw(std::mt19937_64& random) const {
  switch (kind_) {
    case Kind::fixed: return static_cast<std::int64_t>(first_);
    case Kind::uniform:
      return std::uniform_int_distribution<std::int64_t>(static_cast<std::int64_t>(first_),
                                                         static_cast<std::int64_t>(second_))(random);
    case Kind::normal:
      return std::max<std::int64_t>(1, std::llround(std::normal_distribution<double>(first_, second_)(random)));
  }
  return 1;
}

Result<LoadSubject> examine_subject(const LoadTarget& target, const LoadSettings& settings, double timeout_seconds) {
  LoadSubject subject{.model = settings.model};
  if (subject.model.empty()) {
    CORBEL_ASSIGN(const LoadReply reply, ask_server(target, "/v1/models", "", kAskSeconds));
    const Json json = Json::parse(reply.body, nullptr, false);
    const bool listed = reply.status == 200 && json.is_object() && json.contains("data") && json["data"].is_array() &&
                        !json["data"].empty() && json["data"][0].is_object();
    if (!listed)
      return fail(Code::bad_request, cat("GET /v1/models lists no model (", error_text(reply), "); give --model"));
    subject.model = json["data"][0].value("id", std::string());
  }
  const std::string words = "time water house";
  const auto counted = count_tokens(target, subject.model, words);
  subject.counts_tokens = counted.has_value();
  Json body = prompt_fields(settings, subject.model, words);
  body["max_tokens"] = 2;
  body["ignore_eos"] = true;
  CORBEL_ASSIGN(LoadReply reply, ask_server(target, path_of(settings), body.dump(), timeout_seconds));
  subject.ignores_eos = reply.status == 200;
  if (!subject.ignores_eos) {
    body.erase("ignore_eos");
    CORBEL_ASSIGN(reply, ask_server(target, path_of(settings), body.dump(), timeout_seconds));
  }
  if (reply.status != 200) return fail(Code::bad_request, cat("a first request is answered with ", error_text(reply)));
  if (counted) subject.template_tokens = std::max<std::int64_t>(0, prompt_tokens_of(reply) - *counted);
  return subject;
}

Result<std::vector<LoadRequest>> make_load(const LoadTarget& target, const LoadSettings& settings,
                                           const LoadSubject& subject) {
  std::mt19937_64 random(settings.seed);
  std::exponential_distribution<double> distance(settings.rate > 0.0 ? settings.rate : 1.0);
  std::vector<LoadRequest> requests;
  double at = 0.0;
  for (std::int64_t i = 0; i < settings.requests; ++i) {
    const std::int64_t prompt_tokens = settings.prompt.draw(random);
    const std::int64_t wanted = std::max<std::int64_t>(1, prompt_tokens - subject.template_tokens);
    std::string text;
    if (subject.counts_tokens) {
      CORBEL_ASSIGN(text, exact_words(target, subject.model, random, wanted));
    } else {
      text = random_words(random, wanted);
    }
    Json body = prompt_fields(settings, subject.model, text);
    body["max_tokens"] = settings.answer.draw(random);
    body["temperature"] = 0;
    if (subject.ignores_eos) body["ignore_eos"] = true;
    if (settings.streams) {
      body["stream"] = true;
      body["stream_options"] = {{"include_usage", true}};
    }
    if (settings.rate > 0.0 && i > 0) at += distance(random);
    requests.push_back({body.dump(), at});
  }
  return requests;
}

}  // namespace corbel::app
