#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "corbel/compile/quant_names.h"
#include "corbel/format/gguf_repack.h"
#include "corbel/format/tensor_source.h"
#include "corbel/model/text_model.h"

namespace corbel {

/// How the values of a matrix become integers.
enum class QuantMethod {
  fast,    // one pass: scale from the largest magnitude, best multipliers, scale refitted
  search,  // the scale with the least squared error of a dozen, refitted; "mse" on the command line
  gptq,    // error of each column made good in those behind it (arXiv 2210.17323); needs calibration
};
std::string_view quant_method_name(QuantMethod method);
Result<QuantMethod> find_quant_method(std::string_view name);

/// --keep "regex=format": tensors whose name has a match get that format. The first rule that matches holds.
struct KeepRule {
  std::string pattern;
  const WeightFormat* format = nullptr;
};
/// Refused: no '=', an unknown format, a format that cannot be made, an expression that does not compile.
Result<KeepRule> parse_keep_rule(std::string_view text);

struct PlanRequest {
  QuantChoice quant;
  std::vector<KeepRule> keep;
  QuantMethod method = QuantMethod::search;
  /// --force: 4- and 8-bit names that promise another 16-bit type than the checkpoint's are taken.
  bool force = false;
  /// The 16-bit type that the quant name promised ("w4f16"): null where it promised none.
  const WeightFormat* activations = nullptr;
};

/// One tensor of the artifact.
struct TensorPlan {
  WeightUse use;
  const Repacking* repacking = nullptr;  // not null: the checkpoint's own bits in another order
  const WeightFormat* source_format = nullptr;
  const WeightFormat* format = nullptr;
  std::int64_t source_bytes = 0;
  std::int64_t bytes = 0;
  std::string reason;  // why another format than the one asked for; empty: as asked

  bool is_vector() const { return use.shape.rank() < 2; }
  std::int64_t rows() const { return is_vector() ? 1 : use.shape[0]; }
  std::int64_t columns() const { return is_vector() ? use.shape[0] : use.shape[1]; }
  bool quantizes() const { return format->packed != nullptr && format != source_format && repacking == nullptr; }
};

struct CompilePlan {
  std::vector<TensorPlan> tensors;    // in the order of the artifact
  std::vector<std::string> left_out;  // tensors of the checkpoint that the model does not read
  std::vector<std::string> notes;     // what the user should know
  std::int64_t source_bytes = 0;
  std::int64_t bytes = 0;   // of all tensors
  std::int64_t values = 0;  // of matrices
  std::int64_t kv_bytes_per_token = 0;
  int layers = 0;
  double bits_per_weight() const;  // of matrices
};

/// Chooses formats for every tensor that the model reads. Vectors stay as they are stored. A matrix keeps its stored
/// format when packing would make it larger (few rows or columns). Refused: a --keep rule that matches nothing; a
/// source format that cannot be read; a promised 16-bit type that is not the checkpoint's.
Result<CompilePlan> plan_tensors(const TextModelInfo& info, const TensorSource& source, const PlanRequest& request);

/// Recomputes sizes and sums after formats were changed.
void sum_up(CompilePlan& plan);

}  // namespace corbel
