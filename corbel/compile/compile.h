#pragma once
#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "corbel/compile/calibration.h"
#include "corbel/compile/matrix_encoder.h"
#include "corbel/compile/plan.h"
#include "corbel/format/artifact_writer.h"
#include "corbel/model/loader.h"

namespace corbel {

/// What is compiled: a checkpoint, opened.
struct CompileSource {
  std::shared_ptr<const TensorSource> tensors;
  std::shared_ptr<const Json> config;     // config.json
  std::string config_place;               // for messages
  std::vector<ArtifactPlan::File> files;  // to carry along
  std::string name;                       // for people: "Llama-3.2-1B (Hugging Face folder)"
  std::string hash;                       // 32 hexadecimal digits
};

struct CompileRequest {
  CompileSource source;
  std::vector<ModelFamily> families;
  PlanRequest plan;
  /// Mixed bits: at most so many bits per weight of matrices, where they cost least; 0: as the plan says.
  double bits = 0.0;
  /// Empty: every column counts the same. Needed by gptq.
  CalibrationTokens calibration;
  ArtifactLimits limits;
  std::string written_by;
  std::map<std::string, std::string, std::less<>> settings;  // stored with the artifact
  std::optional<DType> kv_cache = std::nullopt;              // what the artifact is to run with; empty: auto
  bool allow_nonfinite = false;                              // NaN and infinities count as zeros
  std::filesystem::path output;
  bool resume = false;  // go on from what an interrupted run left; keep it when this one is cancelled
  const std::atomic<bool>* cancel = nullptr;
};

struct CompileProgress {
  std::string what;             // tensor, or "calibration"
  std::int64_t done_bytes = 0;  // of the source
  std::int64_t total_bytes = 0;
  double seconds = 0.0;  // since writing began
};

struct CompiledTensor {
  std::string name;
  const WeightFormat* format = nullptr;
  std::int64_t bytes = 0;
  TensorErrors errors;
};

struct CompileReport {
  CompilePlan plan;
  std::vector<CompiledTensor> tensors;
  std::int64_t file_bytes = 0;
  double calibration_seconds = 0.0;
  double encode_seconds = 0.0;
};

/// The plan alone: what --dry-run shows. Reads headers only, unless `bits` asks for measurements.
Result<CompilePlan> plan_compile(const CompileRequest& request, Device& device);
/// Bytes of the file.
Result<std::int64_t> planned_bytes(const CompileRequest& request, const CompilePlan& plan);

/// Plans, quantizes tensor by tensor and writes `output` (under a temporary name until it is whole). `device` runs the
/// encoders and the calibration; memory: a few pieces of 4 MB, with calibration also the rows between two layers, with
/// gptq one layer's sums of products. Refused as the parts refuse; a cancelled run answers Code::cancelled and leaves
/// nothing behind, or with `resume` what the next one goes on from.
Result<CompileReport> compile_model(const CompileRequest& request, Device& device,
                                    const std::function<void(const CompileProgress&)>& progress);

/// The certificate's text: per tensor format, bytes and SQNR. JSON.
std::string certificate_text(const std::vector<CompiledTensor>& tensors);

}  // namespace corbel
