#pragma once
#include <cstddef>
#include <string>

namespace corbel {

/// How Device::measure_limits measures.
struct LimitSettings {
  std::size_t buffer_bytes = std::size_t{1} << 30;  // read per pass; far larger than any cache
  int passes = 3;                                   // of each loop shape; the best one counts
  int threads = 0;                                  // 1: the calling thread alone; 0: all of the device's
};

/// What a device can do at best, measured: the yardstick beside every benchmark. A figure of 0 means that the device
/// has no such instruction at its level.
struct MachineLimits {
  int threads = 0;
  std::size_t buffer_bytes = 0;
  double read_bytes_per_s = 0;  // the best loop shape's best pass
  std::string read_loop;        // which shape that was
  // Multiplications and additions per second, on registers alone, all threads together.
  double f32_ops_per_s = 0;
  double bf16_ops_per_s = 0;  // by a bf16 instruction or by f32 multiply-adds on split pairs, whichever is faster
  double int8_ops_per_s = 0;
  double tile_bf16_ops_per_s = 0;  // AMX tiles: what a kernel made for them could reach
  double tile_int8_ops_per_s = 0;
};

}  // namespace corbel
