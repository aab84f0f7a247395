#include "apps/serve_flags.h"

#include <arpa/inet.h>

#include <array>

#include "apps/command.h"
#include "apps/serve_sandbox.h"
#include "apps/settings.h"
#include "apps/terminal.h"

namespace corbel::app {
namespace {

struct Number {
  std::string_view flag;
  std::int64_t ServeFlags::* value;
  std::int64_t low, high;
  std::string_view meaning;
};

// docs/server.md has the same table; a test compares them.
constexpr auto kNumbers = std::to_array<Number>({
    {"port", &ServeFlags::port, 0, 65535, "the port; 0: any that is free"},
    {"max-num-seqs", &ServeFlags::max_num_seqs, 1, 1024, "requests that run at once"},
    {"max-model-bytes", &ServeFlags::max_model_bytes, 0, std::int64_t{1} << 50,
     "bytes that all open models may take; 0: what they take"},
    {"max-queue", &ServeFlags::max_queue, 0, 100'000, "requests that wait for a place; one more gets 429"},
    {"max-prompt-tokens", &ServeFlags::max_prompt_tokens, 0, 1 << 30,
     "most tokens of a prompt; 0: what the context takes"},
    {"max-body-bytes", &ServeFlags::max_body_bytes, 1024, 1 << 30, "most bytes of a request's body; more get 413"},
    {"max-header-bytes", &ServeFlags::max_header_bytes, 1024, 1 << 20, "most bytes of a request's head; more get 431"},
    {"max-json-depth", &ServeFlags::max_json_depth, 4, 64, "arrays and objects in each other; deeper ones get 400"},
    {"max-connections", &ServeFlags::max_connections, 1, 100'000, "open connections; one more gets 503"},
    {"max-seconds", &ServeFlags::max_seconds, 1, 604'800,
     "seconds that a request may take, waiting included; then it ends with what it has"},
    {"requests-per-minute", &ServeFlags::requests_per_minute, 0, 1'000'000,
     "of each key (without keys: of each address); more get 429; 0: any number"},
    {"idle-timeout", &ServeFlags::idle_timeout, 1, 86'400, "seconds that a connection may wait for its next request"},
    {"receive-timeout", &ServeFlags::receive_timeout, 1, 86'400, "seconds in which a body must come in; else 408"},
    {"write-timeout", &ServeFlags::write_timeout, 1, 86'400,
     "seconds after which a client that does not read is given up"},
    {"ping-interval", &ServeFlags::ping_interval, 1, 3600,
     "seconds between comments in streams that have nothing to say"},
    {"drain-seconds", &ServeFlags::drain_seconds, 0, 86'400,
     "seconds that answers under way get when the server is told to end"},
});

/// Only this machine can reach it.
bool is_loopback(const std::string& host) {
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

void add_flags(CommandLine& line, ServeFlags& flags,
               std::array<std::optional<std::int64_t>, kNumbers.size()>& numbers) {
  line.positionals(
      "model", flags.models,
      "artifact, GGUF file, folder, ORG/NAME or alias, each perhaps as NAME=MODEL; the first is the default, others "
      "open when they are asked for; without: built in");
  line.text("--host", flags.host, "the address to listen on (default 127.0.0.1)");
  line.text("--served-model-name", flags.alias, "how requests name the first model (default: its own name)");
  line.integer("--max-model-len", flags.max_model_len, "most tokens of a prompt and its answer together");
  for (std::size_t i = 0; i < kNumbers.size(); ++i) {
    const Number& number = kNumbers[i];
    line.integer(number.flag, numbers[i],
                 cat(number.meaning, " (default ", flags.*number.value, "; ", number.low, " to ", number.high, ")"));
  }
  line.text("--api-key-file", flags.api_key_file, "a key a line; requests then need one of them. Also: CORBEL_API_KEY");
  line.toggle("--insecure", flags.insecure, "listen to other machines without any key");
  line.texts("--cors-origin", flags.cors_origins, "pages from there may ask from a browser; \"*\": any (default none)");
  line.text("--tls-cert", flags.tls_cert, "PEM file of the certificate and those above it; read again when it changes");
  line.text("--tls-key", flags.tls_key, "PEM file of its key");
  line.text("--trace", flags.trace, "write the engine's steps there, for a timeline viewer");
  line.text("--access-log", flags.access_log, "a line of JSON per request into this file; \"-\": standard error");
  line.text("--sandbox", flags.sandbox,
            cat("give up what a server does not need: on, off, or require: refuse to start where the kernel has it not "
                "(default ",
                kDefaultSandbox, ")"));
  line.text("--config", flags.config, "a file with flags: a JSON object, or lines NAME = VALUE");
  line.text("--quant", flags.quant, "pack a checkpoint's weights so, once, and keep them in the cache: w4, w8, ...");
  line.toggle("--huge-pages", flags.huge_pages, "move an artifact's weights into 2 MB pages first: faster decode");
  flags.draft.add_flags(line);
  flags.device.add_flags(line);
  line.example("corbel serve llama.corbel --port 8000");
  line.example("CORBEL_API_KEY=... corbel serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem");
}

int refuse(std::string_view message) {
  print_error(message);
  return kWrongUsage;
}

}  // namespace

std::optional<int> ServeFlags::parse(const std::vector<std::string>& arguments) {
  CommandLine line("serve", "Answers OpenAI's API over HTTP: chat completions, streaming, tools, structured output.");
  std::array<std::optional<std::int64_t>, kNumbers.size()> numbers;
  add_flags(line, *this, numbers);
  const auto settings = read_settings(arguments, line.flags(), "CORBEL_SERVE_");
  if (!settings) return refuse(settings.error().message);
  const auto origin = [&](std::string_view flag) { return settings->origin(flag); };
  if (const auto code = line.parse(settings->words, origin)) return code;
  for (std::size_t i = 0; i < kNumbers.size(); ++i) {
    const Number& number = kNumbers[i];
    const std::int64_t value = numbers[i].value_or(this->*number.value);
    if (value < number.low || value > number.high)
      return refuse(cat("--", number.flag, " is ", value, settings->origin(number.flag), "; it must be ", number.low,
                        " to ", number.high));
    this->*number.value = value;
  }
  if (max_model_len.value_or(1) < 1)
    return refuse(cat("--max-model-len", settings->origin("max-model-len"), " must be 1 or more"));
  if (models.size() > 1 && !draft.model.empty())
    return refuse("--draft guesses for one model; with several there is no telling which");
  if (tls_cert.empty() != tls_key.empty()) return refuse("--tls-cert and --tls-key belong together: give both");
  if (sandbox.empty()) sandbox = kDefaultSandbox;
  if (!is_sandbox_mode(sandbox))
    return refuse(cat("--sandbox is ", sandbox, settings->origin("sandbox"), "; it must be on, off or require"));
  if (host == "localhost") host = "127.0.0.1";
  // Keys from the environment are read later, with those of the file; here counts that there are some.
  const char* const key = std::getenv("CORBEL_API_KEY");
  const bool has_key = !api_key_file.empty() || (key != nullptr && *key != '\0');
  if (!is_loopback(host) && !has_key && !insecure)
    return refuse(cat("--host ", host, settings->origin("host"),
                      " listens to other machines, and no key is asked for: give --api-key-file FILE or "
                      "CORBEL_API_KEY, or --insecure where everybody may ask"));
  if (const auto valid = device.validate(); !valid) return refuse(valid.error().message);
  return std::nullopt;
}

}  // namespace corbel::app
