#pragma once
#include "corbel/verify/faulty_device.h"

/// Broken kernels, one function per mistake; faults.cpp lists them. Internal to this folder.
namespace corbel::broken {

void attention_scale(FaultyDevice& device);
void mask_off_by_one(FaultyDevice& device);
void wrong_kv_head(FaultyDevice& device);
void window_dropped(FaultyDevice& device);
void window_off_by_one(FaultyDevice& device);
void decode_misses_own_token(FaultyDevice& device);
void kv_slot_off_by_one(FaultyDevice& device);
void position_off_by_one(FaultyDevice& device);
void rope_layout(FaultyDevice& device);
void qk_norm_dropped(FaultyDevice& device);
void norm_gamma_plus_one(FaultyDevice& device);
void residual_missing(FaultyDevice& device);
void token_id_off_by_one(FaultyDevice& device);

}  // namespace corbel::broken
