#include "corbel/compile/plan.h"

#include <algorithm>
#include <array>

#include "corbel/format/float_strips.h"
#include "corbel/format/packed_format.h"
#include "corbel/text/pattern.h"

namespace corbel {
namespace {

constexpr std::array kMethods = {std::pair{QuantMethod::fast, std::string_view("fast")},
                                 std::pair{QuantMethod::search, std::string_view("mse")},
                                 std::pair{QuantMethod::gptq, std::string_view("gptq")}};

bool is_plain(const WeightFormat& format) { return format.packed == nullptr && format.block_values == 1; }

struct CompiledRule {
  const KeepRule* rule;
  Regex regex;
  bool used = false;
};

Result<std::vector<CompiledRule>> compile_rules(const std::vector<KeepRule>& rules) {
  std::vector<CompiledRule> compiled;
  for (const KeepRule& rule : rules) {
    CORBEL_ASSIGN(Regex regex, Regex::compile(rule.pattern));
    compiled.push_back({&rule, std::move(regex)});
  }
  return compiled;
}

Result<bool> matches(const Regex& regex, std::string_view name) {
  bool found = false;
  CORBEL_TRY(regex.each_match(name, [&](Span) { found = true; }));
  return found;
}

/// What --quant alone says.
const WeightFormat* wanted_format(const WeightUse& use, const WeightFormat* stored, const PlanRequest& request) {
  if (use.shape.rank() < 2) return stored;
  if (request.quant.name == "auto" && !is_plain(*stored)) {  // a quantized checkpoint keeps its own bits
    const Repacking* const repacking = find_repacking(*stored);
    return repacking != nullptr ? repacking->strips : stored;
  }
  if (use.gathered) return use.input.empty() ? request.quant.embeddings : request.quant.heads;
  // A head is what a model uses last: its input is shared with nobody, and it has far more rows than columns.
  return use.input.ends_with("lm_head") ? request.quant.heads : request.quant.matrices;
}

Result<const WeightFormat*> kept_format(const WeightUse& use, std::vector<CompiledRule>& rules) {
  for (CompiledRule& rule : rules) {
    CORBEL_ASSIGN(const bool found, matches(rule.regex, use.name));
    if (!found) continue;
    rule.used = true;
    return rule.rule->format;
  }
  return static_cast<const WeightFormat*>(nullptr);
}

Result<void> check_promise(const TensorPlan& tensor, const PlanRequest& request) {
  const WeightFormat* promised = request.activations;
  const WeightFormat* stored = tensor.source_format;
  if (promised == nullptr || request.force || tensor.is_vector() || stored == promised) return {};
  if (stored != &bf16_format() && stored != &f16_format()) return {};
  const bool narrows = promised == &f16_format();
  return fail(Code::bad_request, cat("the checkpoint is ", stored->name, " (\"", tensor.use.name,
                                     "\") and --quantize promises ", promised->name,
                                     narrows ? ": values beyond 65504 overflow, and answers become \"!!!!\""
                                             : ": what f16 holds in 11 bits, bf16 cuts to 8",
                                     ". Use the ", stored->name, " spelling, or --force"));
}

/// For a matrix that strips would make larger: rows of the numbers that the strips hold, or what the checkpoint has.
const WeightFormat& rows_instead_of(const WeightFormat& strips, const WeightFormat& stored) {
  if (&strips == &p_bf16_format()) return bf16_format();
  return &strips == &p_f16_format() ? f16_format() : stored;
}

Result<TensorPlan> plan_tensor(const WeightUse& use, const TensorSource& source, const PlanRequest& request,
                               std::vector<CompiledRule>& rules) {
  const auto stored = source.find_shaped(use.name, use.shape);
  if (!stored) return fail(Code::bad_file, cat(source.description(), ": tensor \"", use.name, "\" is gone"));
  TensorPlan tensor{.use = use, .source_format = stored->format};
  tensor.source_bytes = static_cast<std::int64_t>(stored->bytes.size());
  tensor.format = wanted_format(use, stored->format, request);
  CORBEL_TRY(check_promise(tensor, request));
  CORBEL_ASSIGN(const WeightFormat* kept, kept_format(use, rules));
  if (kept != nullptr) {
    tensor.format = kept;
    tensor.reason = "--keep";
  }
  if (tensor.is_vector() && !is_plain(*tensor.format)) {
    if (kept != nullptr)
      return fail(Code::bad_request, cat("--keep: \"", use.name, "\" is a vector of ", use.shape[0],
                                         " values and cannot be ", kept->name, "; vectors may be f32, bf16 or f16"));
  }
  if (const Repacking* repacking = find_repacking(*stored->format);
      repacking != nullptr && repacking->strips == tensor.format)
    tensor.repacking = repacking;
  const bool pads =
      tensor.format->packed != nullptr && stored->format->packed == nullptr && tensor.repacking == nullptr;
  // Strips of floats cost what rows of them cost, but for padding.
  const bool grows = tensor.format->packed != nullptr && !tensor.format->packed->has_integers();
  const std::int64_t most = tensor.source_bytes - (grows ? 0 : 1);
  if (pads && kept == nullptr && tensor.format->matrix_bytes(tensor.rows(), tensor.columns()) > most) {
    tensor.reason = cat("padded, ", tensor.format->name, " would be larger");
    tensor.format = &rows_instead_of(*tensor.format, *stored->format);
  }
  return tensor;
}

/// Matrices with one input run as one op: packed and plain together leave the fast paths.
void note_mixtures(CompilePlan& plan) {
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.use.input.empty() || tensor.format->packed == nullptr) continue;
    const auto plain = std::find_if(plan.tensors.begin(), plan.tensors.end(), [&](const TensorPlan& other) {
      return other.use.input == tensor.use.input && other.format->packed == nullptr;
    });
    if (plain == plan.tensors.end()) continue;
    plan.notes.push_back(cat("\"", tensor.use.name, "\" (", tensor.format->name, ") and \"", plain->use.name, "\" (",
                             plain->format->name, ") share an input: one packed and one not is slow"));
    return;
  }
}

/// Names of the formats that values can be stored in.
std::string formats_to_write() {
  std::string names;
  for (const WeightFormat* format : weight_formats()) {
    if (format->can_encode()) names += cat(names.empty() ? "" : ", ", format->name);
  }
  return names;
}

}  // namespace

std::string_view quant_method_name(QuantMethod method) {
  return std::find_if(kMethods.begin(), kMethods.end(), [&](const auto& entry) { return entry.first == method; })
      ->second;
}

Result<QuantMethod> find_quant_method(std::string_view name) {
  for (const auto& [method, spelled] : kMethods) {
    if (spelled == name) return method;
  }
  return fail(Code::bad_request, cat("--method is \"", name.substr(0, 40), "\"; known: fast, mse, gptq"));
}

Result<KeepRule> parse_keep_rule(std::string_view text) {
  const auto equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0)
    return fail(Code::bad_request, cat("--keep is \"", text.substr(0, 60), "\"; expected REGEX=FORMAT"));
  KeepRule rule{.pattern = std::string(text.substr(0, equals))};
  const auto format = find_weight_format(text.substr(equals + 1));
  if (!format)
    return fail(Code::bad_request,
                cat("--keep \"", text.substr(0, 60), "\": format \"", text.substr(equals + 1).substr(0, 40),
                    "\" is unknown; known: ", formats_to_write()));
  rule.format = *format;
  if (!rule.format->can_encode())
    return fail(Code::bad_request,
                cat("--keep \"", text.substr(0, 60), "\": only importers write ", rule.format->name));
  if (auto regex = Regex::compile(rule.pattern); !regex)
    return Failure{{Code::bad_request, cat("--keep: ", regex.error().message)}};
  return rule;
}

double CompilePlan::bits_per_weight() const {
  std::int64_t matrix_bytes = 0;
  for (const TensorPlan& tensor : tensors) matrix_bytes += tensor.is_vector() ? 0 : tensor.bytes;
  return values > 0 ? 8.0 * static_cast<double>(matrix_bytes) / static_cast<double>(values) : 0.0;
}

void sum_up(CompilePlan& plan) {
  plan.source_bytes = plan.bytes = plan.values = 0;
  for (TensorPlan& tensor : plan.tensors) {
    tensor.bytes = tensor.format == tensor.source_format ? tensor.source_bytes
                                                         : tensor.format->matrix_bytes(tensor.rows(), tensor.columns());
    plan.source_bytes += tensor.source_bytes;
    plan.bytes += tensor.bytes;
    if (!tensor.is_vector()) plan.values += tensor.use.shape.elements();
  }
}

Result<CompilePlan> plan_tensors(const TextModelInfo& info, const TensorSource& source, const PlanRequest& request) {
  CompilePlan plan;
  CORBEL_ASSIGN(std::vector<CompiledRule> rules, compile_rules(request.keep));
  for (const WeightUse& use : info.weights) {
    CORBEL_ASSIGN(TensorPlan tensor, plan_tensor(use, source, request, rules));
    plan.tensors.push_back(std::move(tensor));
  }
  for (const CompiledRule& rule : rules) {
    if (!rule.used)
      return fail(Code::bad_request,
                  cat("--keep \"", rule.rule->pattern, "\" matches none of the model's ", plan.tensors.size(),
                      " tensors (--dry-run lists them), or an earlier --keep took all that it matches"));
  }
  for (const std::string& name : source.names()) {
    const bool used =
        std::any_of(info.weights.begin(), info.weights.end(), [&](const WeightUse& use) { return use.name == name; });
    if (!used) plan.left_out.push_back(name);
  }
  plan.layers = info.layers;
  plan.kv_bytes_per_token = info.cache.bytes_per_page() / kPageTokens;
  sum_up(plan);
  note_mixtures(plan);
  return plan;
}

}  // namespace corbel
