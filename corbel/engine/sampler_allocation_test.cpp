#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <random>

#include "corbel/engine/logprobs.h"
#include "corbel/engine/sampler.h"

// Counts what the whole test program allocates with new: choosing a token must not. Sanitizers bring their own new.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
std::atomic<std::int64_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const memory = alignment <= alignof(std::max_align_t) ? std::malloc(bytes == 0 ? 1 : bytes)
                                                              : std::aligned_alloc(alignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 1); }
void* operator new[](std::size_t bytes) { return counted(bytes, 1); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace corbel {
namespace {

TEST(SamplerAllocations, ChoosingATokenAndItsLogprobsAllocatesNothing) {
  constexpr std::int64_t kVocab = 5000;
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  std::vector<float> logits(kVocab);
  std::vector<std::int32_t> history(700);
  for (auto& id : history) id = static_cast<std::int32_t>(random() % kVocab);
  std::vector<std::uint64_t> mask(static_cast<std::size_t>(logit_blocks(kVocab)), 0x5555000011110001U);
  const std::vector<std::int32_t> banned = {0, 6};
  std::vector<SamplingOptions> all(9);
  for (SamplingOptions& options : all) options.temperature = 0.9;
  all[0].temperature = 0.0;
  all[1].top_k = 40;
  all[2].top_k = 4000;
  all[3].top_p = 0.9;
  all[4].min_p = 0.1;
  all[5].typical_p = 0.5;
  all[6].xtc_probability = 1.0;
  all[7].repetition_penalty = 1.2;
  all[8].logit_bias = {{3, 1.0F}, {7, -1.0F}};
  all[8].frequency_penalty = 0.5;
  Sampler sampler(kVocab);
  Logprobs logprobs(kVocab);
  const std::int64_t before = allocations.load();
  for (std::uint64_t position = 0; position < 20; ++position) {
    for (float& logit : logits) logit = position % 5 == 0 ? 1.0F : normal(random);
    for (const SamplingOptions& options : all) {
      SampleInput input{.logits = logits, .history = history, .options = options, .position = position};
      logprobs.of(logits, sampler.sample(input), 20);
      input.allowed = mask;
      input.banned_ids = banned;
      sampler.sample(input);
    }
  }
  EXPECT_EQ(allocations.load(), before);
  delete new int(3);
  ::operator delete(::operator new(64));
  EXPECT_GT(allocations.load(), before) << "the counter sees nothing";
}

}  // namespace
}  // namespace corbel
#endif
