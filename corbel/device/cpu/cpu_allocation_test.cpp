#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "corbel/device/cpu/cpu_device.h"
#include "corbel/device/run_context.h"

// Counts what the whole test program allocates with new: a run of an op must not.
namespace {
std::atomic<std::int64_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = alignment <= alignof(std::max_align_t)
                     ? std::malloc(bytes == 0 ? 1 : bytes)
                     : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, 1); }
void* operator new[](std::size_t bytes) { return counted(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace corbel {
namespace {

TEST(CpuAllocations, TheCounterSeesAnAllocation) {
  const std::int64_t before = allocations.load();
  delete new int(3);
  // The compiler may leave out a new-expression, but not a call of the function.
  ::operator delete(::operator new(64));
  EXPECT_GT(allocations.load(), before);
}

TEST(CpuAllocations, NoOpAllocatesWhenItRuns) {
  const auto pool = *ThreadPool::make(2);
  const auto device = *make_cpu_device({}, *pool);
  RunContext context{.device = device.get()};
  for_each_op([&]<typename Op>() {
    for (const OpCase<Op>& item : Op::cases(CaseScale::quick)) {
      CaseMemory memory(7);
      const auto args = item.make_args(memory);
      const auto prepared = *device->prepare<Op>(item.spec);
      const std::int64_t before = allocations.load();
      prepared(args, context);
      EXPECT_EQ(allocations.load(), before) << Op::kName << ", " << item.name;
    }
  });
}

}  // namespace
}  // namespace corbel
