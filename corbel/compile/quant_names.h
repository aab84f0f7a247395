#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/format/weight_format.h"

/// From a checkpoint to an artifact: which tensor gets which format (plan), the numbers in it (quantizers,
/// calibration), and the file. Everything is deterministic: an artifact's bytes do not depend on threads or on
/// interruptions.
namespace corbel {

/// What --quant asks for.
struct QuantChoice {
  const WeightFormat* matrices = nullptr;  // of linear layers; null: auto, the checkpoint's own where that is packed
  /// Embeddings that are looked up only, and heads (tied or not): every step reads a head whole, and its errors reach
  /// the logits undiluted.
  const WeightFormat* embeddings = nullptr;
  const WeightFormat* heads = nullptr;
  std::string name;  // as stored in the artifact: "w4"
};

/// `quant`: auto, f32, bf16, f16, fp8, w8, w6, w5, w4, or a format's own name ("w4g8"). `group` 0 is the default; else
/// the columns that share a multiplier or scale: 16 or 8 for w4, 16 for w5, 8 for w6, 128 for fp8, 256 for w8. Refused:
/// an unknown name, a group that the format does not offer, a group of a format that has none; the message lists what
/// there is.
Result<QuantChoice> find_quant(std::string_view quant, std::int64_t group);

/// Names for --help, in order of size.
std::vector<std::string> quant_names();

}  // namespace corbel
