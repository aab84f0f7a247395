#include "corbel/engine/run_identity.h"

#include "corbel/blocks/attention.h"

namespace corbel {
namespace {

Checksum hash_of(const Artifact& artifact, const ArtifactProfile& profile) {
  RunningChecksum sum;
  for (const Artifact::Section& section : artifact.sections()) {
    sum.add(std::as_bytes(std::span(section.name)));
    for (const Checksum& piece : artifact.checksums(section)) sum.add(piece.bytes);
  }
  sum.add(std::as_bytes(std::span(profile.name)));
  return sum.value();
}

}  // namespace

Result<std::string> model_hash(const ModelPackage& package) {
  if (package.artifact() != nullptr) return to_string(hash_of(*package.artifact(), *package.profile()));
  CORBEL_ASSIGN(const std::shared_ptr<const TensorSource> tensors, package.tensors());
  CORBEL_ASSIGN(const Checksum hash, source_fingerprint(*tensors, package.files()));
  return to_string(hash);
}

std::string kv_cache_name(const TextModelInfo& model) {
  std::string name;
  for (const CacheGroup& group : model.cache.groups) {
    for (const CacheType& type : cache_types()) {
      if (type.dtype == group.page.dtype && name.find(type.name) == name.npos)
        name += cat(name.empty() ? "" : "+", type.name);
    }
  }
  return name;
}

Result<RunIdentity> identify_run(const ModelPackage& package, const StepRunner& runner) {
  const TextModelInfo& model = runner.model().info();
  RunIdentity identity;
  CORBEL_ASSIGN(identity.model_hash, model_hash(package));
  identity.profile = runner.device().profile();
  identity.strategy = strategy_name(model.strategy);
  identity.kv_cache = kv_cache_name(model);
  if (model.rope_by_length) identity.context_tokens = runner.limits().context_tokens;
  return identity;
}

std::string first_difference(const RunIdentity& then, const RunIdentity& now) {
  if (then.model_hash != now.model_hash)
    return cat("the model's hash is ", then.model_hash, ", here it is ", now.model_hash);
  if (then.profile != now.profile) return cat("the numerics profile is ", then.profile, ", here it is ", now.profile);
  if (then.strategy != now.strategy) return cat("the strategy is ", then.strategy, ", here it is ", now.strategy);
  if (then.kv_cache != now.kv_cache) return cat("the cache is ", then.kv_cache, ", here it is ", now.kv_cache);
  if (then.context_tokens != now.context_tokens)
    return cat("the context is ", then.context_tokens, " tokens, here it is ", now.context_tokens,
               " (this model's rotary scaling goes by it)");
  return {};
}

}  // namespace corbel
