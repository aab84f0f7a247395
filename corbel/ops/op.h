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

/// How many cases an op offers: `quick` for a user's machine (under a second per op), `full` for the tests.
enum class CaseScale { quick, full };

/// Owns the memory of one case. Made twice with the same seed, it holds the same inputs at other addresses, so that two
/// devices can be compared. Defined in op_case.cpp.
class CaseMemory {
 public:
  explicit CaseMemory(std::uint64_t seed);
  ~CaseMemory();
  CaseMemory(const CaseMemory&) = delete;
  CaseMemory& operator=(const CaseMemory&) = delete;

  /// Values about uniform in [-amplitude, amplitude], rounded to dtype (f32, bf16, f16).
  TensorView input(DType dtype, const Shape& shape, float amplitude = 1.0F);
  /// The given integers as i32.
  TensorView integers(const std::vector<std::int32_t>& values, const Shape& shape);
  /// Filled with a pattern that no op may leave behind; compared after the run.
  TensorView output(DType dtype, const Shape& shape);
  /// An input that the op changes in place; compared after the run.
  TensorView in_place(DType dtype, const Shape& shape, float amplitude = 1.0F);
  /// Zeroed bytes that the op changes in place (cache pages); compared after the run.
  TensorView zeroed(std::int64_t bytes);

  const std::vector<TensorView>& compared() const { return compared_; }

 private:
  TensorView allocate(DType dtype, const Shape& shape);
  std::uint64_t state_;
  std::vector<std::byte*> blocks_;
  std::vector<TensorView> compared_;
};

template <typename Op>
struct OpCase {
  std::string name;  // "llama-3.2-1b q_proj rows=17"
  typename Op::Spec spec;
  std::function<typename Op::Args(CaseMemory&)> make_args;
};

}  // namespace corbel
