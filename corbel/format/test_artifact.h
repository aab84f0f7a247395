#pragma once
// Small artifacts for tests: weights from a fixed rule, encoded by the formats' plain encoders.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "corbel/format/artifact_writer.h"

namespace corbel {

inline std::vector<float> test_weights(std::int64_t count, int seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(seed * 1000 + i)) / 8.0F;
  return values;
}

/// Bytes of a plan's tensor as its format stores test_weights().
inline std::vector<std::byte> test_tensor(const ArtifactTensor& tensor, int seed) {
  const Shape& shape = tensor.shape;
  const std::int64_t columns = shape.rank() == 0 ? 1 : shape[shape.rank() - 1];
  const std::int64_t rows = columns == 0 ? 0 : shape.elements() / columns;
  std::vector<std::byte> bytes(static_cast<std::size_t>(stored_bytes(*tensor.format, shape, tensor.name).value()));
  tensor.format->encode_matrix(test_weights(shape.elements(), seed).data(), rows, columns, bytes.data());
  return bytes;
}

inline ArtifactPlan test_plan() {
  ArtifactPlan plan{.written_by = "corbel 0.1.0"};
  plan.profile.source = "a test";
  plan.profile.source_hash = "00112233445566778899aabbccddeeff";
  plan.profile.settings = {{"quant", "w4"}, {"method", "fast"}};
  plan.profile.tensors = {
      {"embed.weight", &w8_format(), {100, 64}, ""}, {"q.weight", &w4g16_format(), {352, 300}, ""},
      {"k.weight", &bf16_format(), {17, 32}, ""},    {"norm.weight", &f32_format(), {64}, ""},
      {"odd.bias", &f32_format(), {3}, ""},          {"big.weight", &bf16_format(), {700, 1024}, ""}};
  plan.files = {{"config.json", "{\"architectures\": []}"}, {"tokenizer.json", "{}"}, {"empty.txt", ""}};
  plan.certificate_bytes = 100;
  return plan;
}

/// Writes all tensors from `first` to before `end`, in pieces of an odd size.
inline Result<void> write_tensors(ArtifactWriter& writer, const ArtifactPlan& plan, std::size_t first,
                                  std::size_t end) {
  constexpr std::size_t kPiece = 40'009;
  for (std::size_t i = first; i < end; ++i) {
    if (writer.is_written(i)) continue;
    const std::vector<std::byte> bytes = test_tensor(plan.profile.tensors[i], static_cast<int>(i));
    for (std::size_t at = 0; at < bytes.size(); at += kPiece)
      CORBEL_TRY(writer.append(i, std::span(bytes).subspan(at, std::min(kPiece, bytes.size() - at))));
  }
  return {};
}

inline Result<void> write_test_artifact(const std::filesystem::path& path, const ArtifactPlan& plan) {
  CORBEL_ASSIGN(ArtifactWriter writer, ArtifactWriter::create(path, plan));
  CORBEL_TRY(write_tensors(writer, plan, 0, plan.profile.tensors.size()));
  if (plan.certificate_bytes > 0) CORBEL_TRY(writer.set_certificate("{\"kl\": 0.01}"));
  return writer.finish();
}

inline std::string file_content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder of its own for each test, removed afterwards.
class ArtifactTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              cat("corbel_artifact_", testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "model.corbel";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::vector<std::string> files_left() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename());
    return names;
  }
  std::filesystem::path folder_, path_;
};

}  // namespace corbel
