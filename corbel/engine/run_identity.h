#pragma once
#include <cstdint>
#include <string>

#include "corbel/engine/step_runner.h"
#include "corbel/format/model_package.h"

namespace corbel {

/// A key of what a package's weights and files are, 32 hexadecimal digits. Artifacts: of all their stored checksums,
/// which cover every byte, and of the profile's name. Others: source_fingerprint(), which sees samples of every tensor
/// and all files of the tokenizer. Takes milliseconds; no paths or times go in.
Result<std::string> model_hash(const ModelPackage& package);

/// What must be the same for the same bytes to come out: two runs with equal identities and equal requests agree.
struct RunIdentity {
  std::string model_hash;
  std::string profile;              // device and level: "cpu/avx512bf16"
  std::string strategy;             // "balanced"
  std::string kv_cache;             // type of the cache's groups: "bf16"; "bf16+f32" where they differ
  std::int64_t context_tokens = 0;  // where rotary scalings go by it; else 0
  bool operator==(const RunIdentity&) const = default;
};

/// The dtype of the cache's groups: "bf16"; "bf16+f32" where they differ.
std::string kv_cache_name(const TextModelInfo& model);

Result<RunIdentity> identify_run(const ModelPackage& package, const StepRunner& runner);

/// What differs first, with both values: "the model's hash is A, here it is B"; empty when nothing does.
std::string first_difference(const RunIdentity& then, const RunIdentity& now);

}  // namespace corbel
