#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "corbel/base/disk_names.h"
#include "corbel/base/gguf_header.h"
#include "corbel/base/json.h"
#include "corbel/format/gguf_tensors.h"

namespace corbel {

/// The row of disk_names::kGgufArchitectures that "general.architecture" names; refused with the known ones.
Result<const disk_names::GgufArchitecture*> find_gguf_architecture(const GgufHeader& header);

/// "ARCHITECTURE.name" keys of a header, and what they say in the words of a config.json.
class GgufKeys {
 public:
  GgufKeys(const GgufHeader& header, std::string_view architecture) : header_(header), prefix_(architecture) {}

  const GgufHeader& header() const { return header_; }
  std::string key(std::string_view name) const;
  bool has(std::string_view name) const { return header_.has(key(name)); }
  /// A size from 1 on. A list with one number per layer must hold the same number everywhere.
  Result<std::int64_t> require_size(std::string_view name) const;
  Result<std::int64_t> get_size(std::string_view name, std::int64_t fallback) const;
  /// f32 numbers come back as the shortest decimal number that rounds to them: 1e-05, not 9.99999974737875e-06.
  Result<double> get_number(std::string_view name, double fallback) const;
  Result<std::string> get_string(std::string_view name, std::string_view fallback) const;

 private:
  const GgufHeader& header_;
  std::string_view prefix_;
};

/// Sizes that several readers need.
struct GgufSizes {
  std::int64_t hidden = 0;
  std::int64_t head_dim = 0;
  std::int64_t q_heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t context = 0;
  double rope_theta = 0.0;
};
Result<GgufSizes> read_gguf_sizes(const GgufKeys& keys);

/// Lists that a file may hold as tensors: what rotary frequencies are divided by. Empty where absent.
struct GgufRopeFactors {
  std::vector<float> all;              // "rope_freqs.weight"
  std::vector<float> longer, shorter;  // "rope_factors_long.weight", "rope_factors_short.weight"
};

/// "rope_scaling" of config.json; null where nothing is scaled. `all` becomes the scaling by wavelength that it was
/// made from where one of the usual parameters gives these very numbers, else lists of divisors.
Result<Json> make_rope_scaling(const GgufKeys& keys, const GgufSizes& sizes, const GgufRopeFactors& factors);

/// config.json of the model. `tensors` are looked at for what no key says: vocabulary, tied head, biases.
Result<Json> make_gguf_config(const GgufKeys& keys, const disk_names::GgufArchitecture& architecture,
                              const GgufTensors& tensors, const GgufRopeFactors& factors);

/// generation_config.json: where to stop, where to begin.
Result<Json> make_gguf_generation_config(const GgufHeader& header);

/// 1_Pooling/config.json, as sentence-transformers has it: how hidden states become one vector; null where the file
/// says nothing or that they do not.
Result<Json> make_gguf_pooling_config(const GgufKeys& keys);

/// tokenizer_config.json: special tokens and chat templates.
Result<Json> make_gguf_tokenizer_config(const GgufHeader& header);

}  // namespace corbel
