#pragma once
#include <functional>

#include "corbel/compile/calibration.h"
#include "corbel/compile/matrix_encoder.h"

namespace corbel {

/// Changes the formats of the plan's matrices so that they take at most `bits` bits per weight and what they lose is
/// least: the sum over matrices of (noise / signal) of their outputs, as columns count by `statistics`, on a sample of
/// each matrix's rows; heads and embeddings count as many matrices. One price per byte (Lagrange) for all. Matrices
/// kept by a rule, or plain because packing makes them larger, stay. Refused: fewer bits than the smallest formats
/// take.
Result<void> mix_bits(CompilePlan& plan, const TensorSource& source, const InputStatistics& statistics, double bits,
                      Device& device);

}  // namespace corbel
