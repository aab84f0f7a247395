#pragma once
#include "corbel/verify/altered_source.h"

/// Checkpoints with something wrong, one function per mistake; faults.cpp lists them. Internal to this folder.
namespace corbel::broken {

using Weights = std::shared_ptr<const TensorSource>;

Weights gate_up_swapped(Weights tensors);
Weights layers_swapped(Weights tensors);
Weights projection_transposed(Weights tensors);
Weights one_element_wrong(Weights tensors);
Weights value_is_nan(Weights tensors);
Weights final_norm_ignored(Weights tensors);
Weights bias_dropped(Weights tensors);
Weights head_rows_shifted(Weights tensors);

}  // namespace corbel::broken
