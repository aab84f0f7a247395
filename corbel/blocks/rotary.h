#pragma once
#include <vector>

#include "corbel/base/json.h"
#include "corbel/ops/rope.h"

namespace corbel {

/// How rotary frequencies are stretched for contexts beyond the trained one.
enum class RotaryScaling {
  none,
  linear,         // every frequency divided by factor
  dynamic_ntk,    // base grows with the sequence's length beyond max_positions
  yarn,           // arXiv 2309.00071: high frequencies kept, low ones divided, a ramp between
  by_wavelength,  // short wavelengths kept, long ones divided, a blend between (rope_type "llama3" of Hugging Face
                  // configs)
  longrope,       // arXiv 2402.13753: a list of divisors for short sequences, another for long ones
};

/// Rotary position embedding: what the model is. Source: arXiv 2104.09864; scalings as in HF modeling_rope_utils.py.
struct RotarySpec {
  std::int64_t rotary_dim = 0;  // leading dimensions of a head that rotate; even
  double theta = 10000.0;
  RopeApply::Layout layout = RopeApply::Layout::half;
  RotaryScaling scaling = RotaryScaling::none;
  double factor = 1.0;
  std::int64_t max_positions = 0;                        // config.json max_position_embeddings
  std::int64_t original_max_positions = 0;               // trained context; 0: max_positions
  double attention_factor = 0.0;                         // multiplies cos and sin; 0: the scaling's own default
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn: rotations over the trained context at the ramp's ends
  double mscale = 0.0, mscale_all_dim = 0.0;             // yarn: both set: attention factor is their ratio
  bool truncate = true;                                  // yarn: ramp ends rounded to whole dimensions
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // by_wavelength
  std::vector<double> short_factor, long_factor;         // longrope: [rotary_dim / 2]

  Result<void> validate() const;
  bool operator==(const RotarySpec&) const = default;
};

/// Numbers for the op: all computed in double and rounded to f32 once.
RopeTable::Spec make_rope_table_spec(const RotarySpec& spec);

/// Reads rope_theta / rope_scaling / rope_parameters (old and new spelling, flat form) of a config.json.
/// `head_dim` times partial_rotary_factor rotates. Unknown types are refused with the known ones.
Result<RotarySpec> read_rotary_spec(const JsonFields& config, std::int64_t head_dim);

}  // namespace corbel
