#include "corbel/format/seeded_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace corbel {
namespace {

std::vector<std::byte> filled(const SeededTensor& tensor) {
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor.shape) elements *= size;
  std::vector<std::byte> out(static_cast<std::size_t>(elements * dtype_bytes(tensor.dtype)));
  fill_seeded(tensor, 0, out);
  return out;
}

std::vector<float> floats(const SeededTensor& tensor) {
  const std::vector<std::byte> bytes = filled(tensor);
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

std::uint64_t fnv1a(const std::vector<std::byte>& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte byte : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3u;
  return hash;
}

struct Vector {
  std::uint64_t seed;
  std::string name;
  std::vector<std::int64_t> shape;
  std::array<std::uint32_t, 3> first_bits;   // of the f32 tensor
  std::array<std::uint64_t, 3> byte_hashes;  // FNV-1a of the whole tensor as f32, bf16, f16
};

// Printed by tools/golden/seeded.py.
const std::vector<Vector>& vectors() {
  static const std::vector<Vector> all = {
      {1u,
       "model.embed_tokens.weight",
       {4096, 24},
       {0x3b03e1dfu, 0x3b6ebb01u, 0xbc22df30u},
       {0xcf82e7e12ef1d1f2u, 0x87abe432365e5c44u, 0xfe438dd47567f2f2u}},
      {1u,
       "lm_head.weight",
       {1500, 7},
       {0xb90ea903u, 0xbc66daf3u, 0x3cafb44bu},
       {0xb47c8cf5fa0fe25du, 0xc6a24535cc13794bu, 0x67de7cd4dbf03686u}},
      {7u,
       "model.norm.weight",
       {33},
       {0x3f8e935cu, 0x3f78080au, 0x3f61fa22u},
       {0x0647f7beadf4be47u, 0xe31b7a317d0cc4b5u, 0x1902f5174a7ce6c1u}},
      {7u,
       "model.layers.3.self_attn.q_proj.weight",
       {12, 100},
       {0xbddd07f9u, 0x3e530d9cu, 0xbe476790u},
       {0x4b366b106bc22746u, 0xca3a17527019aa37u, 0xcb62ecc7d114d8d0u}},
      {7u,
       "model.layers.3.self_attn.k_norm.weight",
       {128},
       {0x3fceca5au, 0x3fe45a5au, 0x3ffd3402u},
       {0xa7ced73b505c1e3fu, 0x612693b70e4edba6u, 0xbbd25a06c7cb2710u}},
      {9223372036854775813u,
       "model.layers.0.self_attn.v_proj.bias",
       {31},
       {0x3e0153c0u, 0xbed4c4d0u, 0xbe53ec08u},
       {0xae65aed02e654e9fu, 0x54db7c8e60547708u, 0x8ee823fc729d7dc0u}},
      {3u,
       "model.layers.0.mlp.down_proj.weight",
       {9, 11},
       {0x3d8eae2bu, 0x3f866156u, 0xbf727ed4u},
       {0xe471c8895bb1d4b1u, 0x5d0d97d954e293eau, 0xfc1b85a61ba0cbc2u}},
      {3u,
       "model.layers.0.mlp.gate_proj.weight",
       {9, 11},
       {0x3f155df6u, 0xbd92e008u, 0x3e52fe81u},
       {0x2c39c560e6313e5eu, 0x08e31f0935afc751u, 0xf3f71ebff4b0ebb5u}},
      {3u,
       "visual.patch.weight",
       {5, 3, 2},
       {0xbdf01f50u, 0xbfc1173bu, 0x3f960240u},
       {0x45e90f45c8ed323cu, 0x346b5d3117d58c51u, 0xf170cdffb6da79bdu}},
  };
  return all;
}

TEST(SeededWeights, EqualThePythonTwinBitForBitInEveryDtype) {
  for (const Vector& vector : vectors()) {
    SCOPED_TRACE(vector.name);
    const std::vector<float> values = floats({vector.seed, vector.name, DType::f32, vector.shape});
    for (std::size_t i = 0; i < vector.first_bits.size(); ++i)
      EXPECT_EQ(std::bit_cast<std::uint32_t>(values[i]), vector.first_bits[i]) << "element " << i;
    const std::array<DType, 3> dtypes = {DType::f32, DType::bf16, DType::f16};
    for (std::size_t i = 0; i < dtypes.size(); ++i)
      EXPECT_EQ(fnv1a(filled({vector.seed, vector.name, dtypes[i], vector.shape})), vector.byte_hashes[i])
          << dtype_name(dtypes[i]);
  }
}

TEST(SeededWeights, AreTheSameInAnySplit) {
  for (const Vector& vector : vectors()) {
    const SeededTensor tensor{vector.seed, vector.name, DType::bf16, vector.shape};
    const std::vector<std::byte> whole = filled(tensor);
    for (const std::size_t slice : {std::size_t{1}, std::size_t{3}, std::size_t{10}, std::size_t{257}}) {
      std::vector<std::byte> pieces(whole.size());
      for (std::size_t at = 0; at < whole.size(); at += slice * 2)
        fill_seeded(tensor, static_cast<std::int64_t>(at / 2),
                    std::span(pieces).subspan(at, std::min(slice * 2, whole.size() - at)));
      ASSERT_EQ(pieces, whole) << vector.name << " in slices of " << slice;
    }
  }
}

TEST(SeededWeights, HaveTheSpreadOfTheirRole) {
  const std::vector<std::int64_t> shape = {256, 1024};
  double sum = 0;
  double squares = 0;
  const std::vector<float> values = floats({5, "model.layers.0.self_attn.q_proj.weight", DType::f32, shape});
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const double count = static_cast<double>(values.size());
  EXPECT_NEAR(std::sqrt(squares / count), 1.5 / std::sqrt(1024.0), 0.01 * 1.5 / std::sqrt(1024.0));
  EXPECT_NEAR(sum / count, 0.0, 4 * 1.5 / std::sqrt(1024.0 * count));  // four standard errors
}

TEST(SeededWeights, DifferByNameAndBySeed) {
  const std::vector<std::int64_t> shape = {64};
  const std::vector<std::byte> a = filled({1, "model.layers.0.mlp.up_proj.weight", DType::bf16, shape});
  EXPECT_NE(a, filled({2, "model.layers.0.mlp.up_proj.weight", DType::bf16, shape}));
  EXPECT_NE(a, filled({1, "model.layers.1.mlp.up_proj.weight", DType::bf16, shape}));
}

TEST(SeededWeights, MakeAboutOneRowInAThousandOfAHeadLoud) {
  const std::vector<std::int64_t> shape = {32768, 16};
  const std::vector<float> values = floats({9, "lm_head.weight", DType::f32, shape});
  int loud = 0;
  for (std::size_t row = 0; row < 32768; ++row) {
    double squares = 0;
    for (std::size_t i = 0; i < 16; ++i) squares += std::pow(values[row * 16 + i], 2);
    if (std::sqrt(squares / 16) > 0.08) ++loud;  // a quiet row is at most sqrt(6) * 0.02 = 0.049
  }
  EXPECT_GT(loud, 10);
  EXPECT_LT(loud, 60);
}

}  // namespace
}  // namespace corbel
