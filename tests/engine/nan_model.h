#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "corbel/base/json.h"

namespace corbel {

/// Copies a checkpoint and makes the first number of one f32 tensor a NaN.
inline std::filesystem::path with_nan(const std::string& from, const std::string& tensor) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(::testing::TempDir()) / "nan_weights";
  fs::remove_all(folder);
  fs::copy(fs::path(CORBEL_SOURCE_DIR) / "models" / from, folder);
  std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t length = 0;
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  std::string text(length, '\0');
  file.read(text.data(), static_cast<std::streamsize>(length));
  const Json header = Json::parse(text);
  const auto offset = header.at(tensor).at("data_offsets")[0].get<std::uint64_t>();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  file.seekp(static_cast<std::streamoff>(sizeof length + length + offset));
  file.write(reinterpret_cast<const char*>(&nan), sizeof nan);
  return folder;
}

}  // namespace corbel
