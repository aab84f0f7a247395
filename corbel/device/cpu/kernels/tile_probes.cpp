#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "corbel/device/cpu/kernels/kernels.h"

// Peaks of AMX: 16 x 16 tiles of sums, two tiles of inputs each; register work alone.

namespace corbel::cpu::CORBEL_ISA {
namespace {

struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);
constexpr TileShapes kShapes;  // not on the stack: GCC 12 takes _tile_loadconfig to read its first word only

bool enable() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

void begin_tiles() {
  _tile_loadconfig(&kShapes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
}

// Four sums from two by two inputs, as a kernel would have them.
constexpr int64_t kTilesPerRound = 4;

int64_t bf16_operations(int64_t rounds) {
  begin_tiles();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
  return rounds * kTilesPerRound * 16 * 16 * 32 * 2;
}

int64_t int8_operations(int64_t rounds) {
  begin_tiles();
  for (int64_t round = 0; round < rounds; ++round) {
    _tile_dpbssd(0, 4, 5);
    _tile_dpbssd(1, 4, 5);
    _tile_dpbssd(2, 4, 5);
    _tile_dpbssd(3, 4, 5);
  }
  _tile_release();
  return rounds * kTilesPerRound * 16 * 16 * 64 * 2;
}

}  // namespace

TileProbes make_tile_probes() { return {enable, bf16_operations, int8_operations}; }

}  // namespace corbel::cpu::CORBEL_ISA
