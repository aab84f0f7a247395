#include "corbel/device/cpu/cpu_levels.h"

#include <cpuid.h>

namespace corbel::cpu {

#define CORBEL_LEVEL(name) \
  namespace name {         \
  Kernels make_kernels();  \
  }
CORBEL_LEVEL(avx512bf16)
CORBEL_LEVEL(avx512)
CORBEL_LEVEL(v3)
CORBEL_LEVEL(v2)
#undef CORBEL_LEVEL
namespace amx {
TileProbes make_tile_probes();
}

namespace {

bool has_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool has_avx512() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}

bool has_avx512bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

/// Tiles, their bf16 and int8 products (CPUID leaf 7, EDX bits 24, 22, 25). Whether the system gives them is asked when
/// they are used.
bool has_tiles() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kTileBits = 1U << 22 | 1U << 24 | 1U << 25;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTileBits) == kTileBits;
}

struct Level {
  bool (*usable)();
  Kernels (*make)();
};
// Best first. v2 is what everything is compiled for.
constexpr Level kLevels[] = {
    {has_avx512bf16, avx512bf16::make_kernels},
    {has_avx512, avx512::make_kernels},
    {has_v3, v3::make_kernels},
    {[] { return true; }, v2::make_kernels},
};

std::vector<Kernels> find_usable_levels() {
  __builtin_cpu_init();
  std::vector<Kernels> usable;
  for (const Level& level : kLevels)
    if (level.usable()) usable.push_back(level.make());
  return usable;
}

}  // namespace

const std::vector<Kernels>& usable_levels() {
  static const std::vector<Kernels> levels = find_usable_levels();
  return levels;
}

TileProbes usable_tile_probes() { return has_avx512() && has_tiles() ? amx::make_tile_probes() : TileProbes{}; }

Result<const Kernels*> find_level(std::string_view name) {
  const std::vector<Kernels>& levels = usable_levels();
  if (name.empty()) return &levels.front();
  std::string known;
  for (const Kernels& kernels : levels) {
    if (name == kernels.level) return &kernels;
    known += cat(known.empty() ? "" : ", ", kernels.level);
  }
  return fail(Code::unsupported, cat("device \"cpu\" cannot run ISA level \"", name, "\"; this machine has ", known,
                                     " (settings or CORBEL_CPU_ISA)"));
}

}  // namespace corbel::cpu
