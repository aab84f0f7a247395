#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/draft_setup.h"
#include "apps/model_setup.h"

namespace corbel::app {

/// The flags of `corbel serve`. Each may also stand in a file (--config) or in the environment (CORBEL_SERVE_NAME).
struct ServeFlags {
  std::vector<std::string> models;
  std::string quant, alias;
  std::string host = "127.0.0.1";
  std::string api_key_file, tls_cert, tls_key, access_log, trace, config, sandbox;
  std::vector<std::string> cors_origins;
  bool insecure = false, huge_pages = false;
  DraftFlags draft;
  DeviceChoice device;

  // Numbers, each with its range: the table in serve_flags.cpp.
  std::int64_t port = 8000;
  std::optional<std::int64_t> max_model_len;
  std::int64_t max_num_seqs = 16;
  std::int64_t max_model_bytes = 0;
  std::int64_t max_queue = 256;
  std::int64_t max_prompt_tokens = 0;
  std::int64_t max_body_bytes = std::int64_t{32} << 20;
  std::int64_t max_header_bytes = std::int64_t{64} << 10;
  std::int64_t max_json_depth = 64;
  std::int64_t max_connections = 4096;
  std::int64_t max_seconds = 3600;
  std::int64_t requests_per_minute = 0;
  std::int64_t idle_timeout = 75, receive_timeout = 75, write_timeout = 60, ping_interval = 15;
  std::int64_t drain_seconds = 30;

  /// An exit code when that is all there is to do; what was wrong was printed.
  std::optional<int> parse(const std::vector<std::string>& arguments);
};

}  // namespace corbel::app
