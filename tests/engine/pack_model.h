#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "corbel/format/artifact_writer.h"
#include "corbel/format/model_package.h"

namespace corbel {

/// Writes an artifact of a model: matrices in `format` by its plain encoder (null: as they are), everything else as it
/// is.
inline Result<void> pack_model(const std::filesystem::path& model, const std::filesystem::path& artifact,
                               const WeightFormat* format, const ArtifactLimits& limits = {}) {
  CORBEL_ASSIGN(const auto package, open_model_package(model));
  CORBEL_ASSIGN(const auto tensors, package->tensors());
  ArtifactPlan plan{.written_by = "corbel 0.1.0"};
  plan.profile.source = package->name();
  plan.profile.limits = limits;
  CORBEL_ASSIGN(const Checksum hash, source_fingerprint(*tensors, package->files()));
  plan.profile.source_hash = to_string(hash);
  CORBEL_ASSIGN(plan.files, files_to_carry(package->files()));
  for (const std::string& name : tensors->names()) {
    const auto tensor = tensors->find(name);
    if (!tensor) continue;
    const bool packs = format != nullptr && tensor->shape.rank() == 2;
    plan.profile.tensors.push_back({name, packs ? format : tensor->format, tensor->shape, ""});
  }
  CORBEL_ASSIGN(ArtifactWriter writer, ArtifactWriter::create(artifact, plan));
  for (std::size_t i = 0; i < plan.profile.tensors.size(); ++i) {
    const ArtifactTensor& wanted = plan.profile.tensors[i];
    const SourceTensor tensor = *tensors->find(wanted.name);
    if (wanted.format == tensor.format) {
      CORBEL_TRY(writer.append(i, tensor.bytes));
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
    for (std::int64_t row = 0; row < tensor.shape[0]; ++row)
      tensor.format->decode_row(tensor.bytes.data(), tensor.shape[1], row, values.data() + row * tensor.shape[1]);
    std::vector<std::byte> bytes(static_cast<std::size_t>(writer.tensor_bytes(i)));
    wanted.format->encode_matrix(values.data(), tensor.shape[0], tensor.shape[1], bytes.data());
    CORBEL_TRY(writer.append(i, bytes));
  }
  return writer.finish();
}

}  // namespace corbel
