#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/tensor/view.h"

/// Contracts: what an op computes, in which arithmetic, on which shapes. Every op is a struct with
///   kName                 its name in messages
///   Spec                  what is known when a model is loaded: sizes, formats, constants
///   Args                  what one call gets: views, and how many rows
///   check(spec)           refuses what the op does not define
///   reference(spec, args) the plain, exact answer: a device's kernel must equal it bit for bit
///   cases(scale)          inputs that any device must pass
/// Devices (corbel/device) provide kernels; nothing here knows them.
namespace corbel {

struct WeightFormat;

/// How many cases an op offers: `quick` for a user's machine (under a second per op), `full` for the tests.
enum class CaseScale { quick, full };

/// Owns the memory of one case. Made twice with the same seed, it holds the same inputs at other addresses, so that two
/// devices can be compared. Every block lies between two guards of a pattern that reads as NaN in every float type.
class CaseMemory {
 public:
  explicit CaseMemory(std::uint64_t seed);
  ~CaseMemory();
  CaseMemory(const CaseMemory&) = delete;
  CaseMemory& operator=(const CaseMemory&) = delete;

  /// Values about uniform in [-amplitude, amplitude], rounded to dtype (f32, bf16, f16).
  TensorView input(DType dtype, const Shape& shape, float amplitude = 1.0F);
  /// f32 rows of what kernels get wrong, in turn: ordinary values, zeros, negative zeros, subnormals, values about
  /// 1e17, and a mixture of all these.
  TensorView hostile_rows(const Shape& shape, float amplitude = 1.0F);
  /// `values` stored values of a weight, `offset_bytes` behind a multiple of 64: weights may lie at any address.
  std::byte* weight(const WeightFormat& format, std::int64_t values, float amplitude, std::int64_t offset_bytes = 0);
  /// A matrix [rows, columns], packed formats at a multiple of 64 bytes whatever the offset.
  std::byte* matrix(const WeightFormat& format, const Shape& shape, float amplitude, std::int64_t offset_bytes = 0);
  /// The given numbers as f32.
  TensorView numbers(const std::vector<float>& values, const Shape& shape);
  /// The given integers as i32.
  TensorView integers(const std::vector<std::int32_t>& values, const Shape& shape);
  /// Filled with a pattern that no op may leave behind; compared after the run.
  TensorView output(DType dtype, const Shape& shape);
  /// An input that the op changes in place; compared after the run.
  TensorView in_place(DType dtype, const Shape& shape, float amplitude = 1.0F);
  /// Zeroed bytes that the op changes in place (cache pages); compared after the run.
  TensorView zeroed(std::int64_t bytes);
  /// Lets the caller change a block made by input() and declare it changed in place; compared after the run.
  void compare(const TensorView& view);

  const std::vector<TensorView>& compared() const { return compared_; }

  /// Remembers what the compared blocks hold now; reset() brings it back, so that one memory serves several devices.
  void keep_initial();
  void reset() noexcept;
  /// Whether nothing was written right before or behind any block.
  bool guards_intact() const noexcept;
  /// Whether the blocks that are not compared hold the same bytes as those of another memory of the same case.
  bool same_inputs(const CaseMemory& other) const noexcept;

 private:
  struct Block;
  TensorView allocate(DType dtype, const Shape& shape);
  std::byte* allocate_bytes(std::int64_t bytes, std::int64_t offset_bytes);
  void fill(TensorView& view, float amplitude) noexcept;
  std::uint64_t next() noexcept;
  float uniform(float amplitude) noexcept;
  bool is_compared(const Block& block) const noexcept;
  std::uint64_t state_;
  std::vector<Block> blocks_;
  std::vector<TensorView> compared_;
};

template <typename Op>
struct OpCase {
  std::string name;  // "in=2048 features=512 rows=17 bf16"
  typename Op::Spec spec;
  std::function<typename Op::Args(CaseMemory&)> make_args;
};

}  // namespace corbel
