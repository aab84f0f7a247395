#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

/// Optional material beside the repository, for the tests of this folder.
namespace corbel::test_data {

inline std::filesystem::path folder() {
  if (const char* named = std::getenv("CORBEL_TEST_DATA"); named != nullptr) return named;
  return std::filesystem::path(CORBEL_SOURCE_DIR).parent_path() / "shared" / "data";
}

inline std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The file, or what `gzip -dc` makes of FILE.gz; empty when neither is there.
inline std::string read_maybe_gzipped(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return read(path);
  const std::filesystem::path zipped = path.string() + ".gz";
  if (!std::filesystem::exists(zipped)) return {};
  std::string text;
  FILE* pipe = ::popen(("gzip -dc '" + zipped.string() + "'").c_str(), "r");
  if (pipe == nullptr) return {};
  char block[1 << 16];
  for (std::size_t count = 0; (count = std::fread(block, 1, sizeof block, pipe)) > 0;) text.append(block, count);
  ::pclose(pipe);
  return text;
}

inline std::vector<nlohmann::ordered_json> read_lines(const std::filesystem::path& path) {
  std::vector<nlohmann::ordered_json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) rows.push_back(nlohmann::ordered_json::parse(line));
  }
  return rows;
}

}  // namespace corbel::test_data
