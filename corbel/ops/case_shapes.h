#pragma once
#include <cstdint>
#include <span>

namespace corbel {

/// Sizes of a model that people run: what the cases of the ops are drawn from.
struct CaseShape {
  std::int64_t hidden;
  std::int64_t ffn;
  std::int64_t q_heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t vocab;
  std::int64_t window = 0;      // 0: the whole history
  std::int64_t rotary_dim = 0;  // 0: head_dim
  bool interleaved = false;     // rotary partners are 2i and 2i + 1
  bool qkv_bias = false;
};

/// Read from published config.json files; tests/case_shapes_test.cpp compares them with the files.
std::span<const CaseShape> case_shapes();

}  // namespace corbel
