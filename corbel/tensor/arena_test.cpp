#include "corbel/tensor/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace corbel {
namespace {

struct alignas(Arena::kAlignment) Line {
  std::byte bytes[Arena::kAlignment];
};

/// What a forward pass does: nested scopes of different sizes.
void use(Arena& arena) {
  arena.allocate(DType::f32, {3, 5});
  {
    const ArenaScope scope(arena);
    arena.allocate(DType::bf16, {100});
    arena.allocate(DType::i8, {1});
  }
  const ArenaScope scope(arena);
  arena.allocate(DType::i64, {7});
}

TEST(Arena, AMeasuringRunGivesThePeakThatTheSameRunNeeds) {
  Arena measuring;
  use(measuring);
  ASSERT_TRUE(measuring.measuring());
  EXPECT_EQ(measuring.peak_bytes(), 64u + 256u + 64u);  // 60, 200 and 1 bytes, each rounded up to 64
  std::vector<Line> memory(measuring.peak_bytes() / sizeof(Line));
  Arena arena(memory.front().bytes, measuring.peak_bytes());
  use(arena);
  EXPECT_EQ(arena.peak_bytes(), measuring.peak_bytes());
}

TEST(Arena, HandsOutAlignedPartsThatDoNotOverlapAndGivesThemBack) {
  std::vector<Line> memory(8);
  Arena arena(memory.front().bytes, 8 * sizeof(Line));
  const TensorView first = arena.allocate(DType::f32, {2, 9});  // 72 bytes: two lines
  const std::size_t mark = arena.mark();
  const TensorView second = arena.allocate(DType::i8, {1});
  EXPECT_EQ(first.data, memory[0].bytes);
  EXPECT_EQ(second.data, memory[2].bytes);
  EXPECT_EQ(first.shape, (Shape{2, 9}));
  EXPECT_EQ(first.row_stride, 9);
  arena.release(mark);
  EXPECT_EQ(arena.allocate(DType::f32, {1}).data, second.data);
}

TEST(Arena, AnEmptyTensorTakesNothing) {
  Arena arena;
  arena.allocate(DType::f32, {0, 4096});
  EXPECT_EQ(arena.peak_bytes(), 0u);
}

TEST(Arena, AMeasuringArenaGivesAddressesThatAreNotNull) {
  Arena arena;
  EXPECT_FALSE(arena.allocate(DType::f32, {1}).empty());
}

TEST(ArenaDeathTest, StopsTheProgramWhenTheMeasuredSizeIsExceeded) {
  std::vector<Line> memory(2);
  Arena arena(memory.front().bytes, sizeof(Line));
  arena.allocate(DType::u8, {64});
  EXPECT_DEATH(arena.allocate(DType::u8, {1}), "");
}

}  // namespace
}  // namespace corbel
