#pragma once
#include <cstdint>

namespace corbel {

class ThreadPool;

/// a f32 [size, size], symmetric and positive definite, becomes the upper triangular U with a^-1 = U^T U (zeros below
/// the diagonal), in place but for as much memory again. False when it is not positive definite: then only what lies
/// below the diagonal is as it was.
/// The bits depend on no number of threads; `pool` may be null.
bool invert_to_upper(float* a, std::int64_t size, ThreadPool* pool);

}  // namespace corbel
