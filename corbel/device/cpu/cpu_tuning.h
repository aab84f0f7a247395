#pragma once
#include <array>
#include <cstdint>

#include "corbel/base/result.h"
#include "corbel/device/tuning.h"

namespace corbel::cpu {

/// What packed linear layers do alike with whatever values: none of them moves a bit. The defaults are those of a Zen 4
/// core with 1 MB of second-level cache.
struct CpuTuning {
  std::int64_t unit_bytes = 64 * 1024;  // weights of one unit: long enough to stream, short enough to end together
  /// Tiles of rows that read strips as they are stored, unpacking them again for each: with more of them a panel pays.
  std::int64_t direct_tiles = 4;
  /// Rows that share one unpacking: a panel's columns of all of them stay in the second-level cache. Two blocks are a
  /// step of 512 rows.
  std::int64_t block_rows = 264;
};

/// A member of CpuTuning: its name, what it may be, and what is tried, on how many rows.
struct CpuKnob {
  const char* name;
  std::int64_t CpuTuning::* member;
  std::int64_t least, most;
  std::array<std::int64_t, 4> tried;
  std::array<std::int64_t, 2> rows;
};
inline constexpr std::array<CpuKnob, 3> kCpuKnobs = {{
    {"unit_bytes", &CpuTuning::unit_bytes, 4096, 1 << 24, {32 << 10, 64 << 10, 128 << 10, 256 << 10}, {1, 16}},
    {"direct_tiles", &CpuTuning::direct_tiles, 1, 8, {1, 2, 4, 8}, {48, 96}},
    {"block_rows", &CpuTuning::block_rows, 132, 1020, {132, 168, 264, 384}, {264, 512}},
}};

/// The defaults with `tuning` in their place. Refused: a name or a value that is not the table's.
Result<CpuTuning> read_tuning(const Tuning& tuning);

}  // namespace corbel::cpu
