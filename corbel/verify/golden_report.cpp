#include "corbel/verify/golden_report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/engine/step_runner.h"
#include "corbel/format/model_package.h"
#include "corbel/format/seeded_source.h"
#include "corbel/verify/faults.h"

namespace corbel {
namespace {

constexpr const char* kLastLogits = "greedy_logits_last";

/// Picks from [*, view.columns()] the rows that the golden kept; empty `rows` keeps all.
std::vector<float> kept_rows(const TensorView& view, const std::vector<std::int32_t>& rows) {
  const Rows<const float> values(view);
  std::vector<float> kept;
  const auto append = [&](std::int64_t row) { kept.insert(kept.end(), values[row], values[row] + view.columns()); };
  if (rows.empty()) {
    for (std::int64_t row = 0; row < view.rows(); ++row) append(row);
  } else {
    for (const std::int32_t row : rows) append(row);
  }
  return kept;
}

/// How many roundings lie before a module's output. Follows the modules in running order.
class RoundingCount {
 public:
  explicit RoundingCount(const Roundings& roundings)
      : product_(roundings.products ? 1 : 0),
        cached_(roundings.int8_cache ? 40
                : roundings.cache    ? 4
                                     : 0) {}

  int before(std::string_view module) {
    constexpr std::string_view kLayers = ".layers.";
    const auto at = module.find(kLayers);
    const int layer_total = 4 * product_ + cached_;
    if (at == std::string_view::npos)
      return layers_ == 0 ? 0 : layers_ * layer_total + (module == "model.norm" ? 0 : product_);
    const char* digits = module.data() + at + kLayers.size();
    int layer = 0;
    std::from_chars(digits, module.data() + module.size(), layer);
    layers_ = std::max(layers_, layer + 1);
    const auto ends = [&](std::string_view part) { return module.ends_with(part); };
    int within = layer_total;
    if (ends(".input_layernorm")) within = 0;
    if (ends(".q_proj") || ends(".k_proj") || ends(".v_proj") || ends(".q_norm") || ends(".k_norm")) within = product_;
    if (ends(".o_proj") || ends(".self_attn") || ends(".post_attention_layernorm")) within = 2 * product_ + cached_;
    return layer * layer_total + within;
  }

 private:
  int product_, cached_;
  int layers_ = 0;  // seen so far
};

class Comparer {
 public:
  Comparer(const Golden& golden, RoundingCount roundings, std::int64_t hidden, GoldenReport& report)
      : golden_(golden), roundings_(roundings), hidden_(hidden), report_(report) {}

  static void tap(void* user, std::string_view module, std::string_view part, const TensorView& value) {
    static_cast<Comparer*>(user)->see(cat(module, part), value);
  }
  /// Logits of the last greedy step: what decoding computes, beyond which token comes first.
  void see_last_logits(const TensorView& logits) {
    if (const auto expected = golden_.find(kLastLogits)) {
      const float* row = Rows<const float>(logits)[logits.rows() - 1];
      compare(kLastLogits, std::vector<float>(row, row + logits.columns()), *expected);
    }
  }
  /// A module whose output has another size than the golden's: it is of another model. Empty: none.
  const std::string& misfit() const { return misfit_; }

 private:
  void see(const std::string& name, const TensorView& value) {
    if (name == "lm_head") return see_logits(value);
    const auto expected = golden_.find(name);
    if (!expected) return;
    // Per-head norms are seen as [tokens * heads, head_dim]: rows of the prompt are then groups of heads.
    const auto tokens = static_cast<std::int64_t>(golden_.prompt().size());
    const TensorView by_token = value.reshaped({tokens, value.shape.elements() / tokens});
    compare(name, kept_rows(by_token, golden_.rows()), *expected);
  }

  void see_logits(const TensorView& logits) {
    if (const auto all = golden_.find("logits")) return compare("lm_head", kept_rows(logits, {}), *all);
    const auto some = golden_.find("logits_at_columns");
    if (!some) return;
    const Rows<const float> rows(logits);
    std::vector<float> picked;
    for (std::int64_t row = 0; row < logits.rows(); ++row) {
      for (const std::int32_t column : golden_.columns()) picked.push_back(rows[row][column]);
    }
    compare("lm_head", picked, *some);
  }

  void compare(const std::string& name, const std::vector<float>& actual, const Golden::Values& expected) {
    ModuleReport module{.module = name, .bound = golden_bound(roundings_.before(name), hidden_)};
    report_.bound = std::max(report_.bound, module.bound);
    const auto comparison = compare_rows(actual, expected.numbers, expected.columns, module.bound);
    if (!comparison) {
      if (misfit_.empty()) {
        misfit_ = cat("\"", name, "\" has ", expected.numbers.size(), " numbers in the golden, the model gives ",
                      actual.size());
      }
      return;
    }
    module.comparison = *comparison;
    module.ok = comparison->within(module.bound);
    if (!module.ok && report_.first_wrong.empty()) report_.first_wrong = name;
    report_.modules.push_back(std::move(module));
  }

  const Golden& golden_;
  RoundingCount roundings_;
  std::int64_t hidden_;
  GoldenReport& report_;
  std::string misfit_;
};

std::int32_t argmax(const TensorView& logits, std::int64_t row) {
  const float* values = Rows<const float>(logits)[row];
  return static_cast<std::int32_t>(std::max_element(values, values + logits.columns()) - values);
}

/// The golden's prompt as one prefill of sequence 0, logits of every row.
StepPlan prompt_plan(const StepRunner& runner, const Golden& golden) {
  const auto tokens = static_cast<std::int32_t>(golden.prompt().size());
  StepPlan plan;
  plan.sequences = 1;
  plan.max_pages = static_cast<std::int32_t>(runner.pages_per_sequence());
  std::vector<std::int32_t> pages(static_cast<std::size_t>(plan.max_pages));
  for (std::int32_t page = 0; page < plan.max_pages; ++page) pages[static_cast<std::size_t>(page)] = page;
  plan.page_tables.assign(runner.model().info().cache.groups.size(), pages);
  // Hugging Face's length-dependent scalings go by the highest position of the call.
  const std::int32_t highest = *std::max_element(golden.positions().begin(), golden.positions().end());
  plan.prefill = {{.rows = tokens, .logit_rows = tokens, .rope_length = highest + 1}};
  plan.tokens = golden.prompt();
  plan.positions = golden.positions();
  return plan;
}

/// Goes on from the logits of the prompt's last row; `logits` are then those of the last step. rope_length 0: that of
/// each step's own position, as Hugging Face has it.
Result<std::vector<std::int32_t>> decode_greedily(StepRunner& runner, StepPlan plan, TensorView& logits,
                                                  std::size_t count, std::int32_t rope_length) {
  std::vector<std::int32_t> ids;
  std::int64_t row = plan.rows() - 1;
  auto slot = static_cast<std::int32_t>(plan.rows());
  std::int32_t position = plan.positions.back();
  plan.prefill.clear();
  while (true) {
    ids.push_back(argmax(logits, row));
    if (ids.size() == count) return ids;
    ++position;
    plan.decode = {
        {.first_slot = slot++, .logit_rows = 1, .rope_length = rope_length > 0 ? rope_length : position + 1}};
    plan.tokens = {ids.back()};
    plan.positions = {position};
    CORBEL_ASSIGN(logits, runner.run(plan));
    row = 0;
  }
}

int leading_equal(const std::vector<std::int32_t>& found, const std::vector<std::int32_t>& expected) {
  return static_cast<int>(std::mismatch(found.begin(), found.end(), expected.begin(), expected.end()).first -
                          found.begin());
}

Failure other_model(const Golden& golden, const std::string& why) {
  return fail(Code::bad_file, cat(golden.description(), ": ", why, ": was it recorded from this model?"));
}

Result<void> check_fits(const TextModel& model, const Golden& golden) {
  const std::int64_t vocab = model.info().vocab;
  for (const auto* ids : {&golden.prompt(), &golden.greedy(), &golden.columns()}) {
    for (const std::int32_t id : *ids) {
      if (id < vocab) continue;
      return other_model(golden, cat("it speaks of token ", id, ", the model's vocabulary has ", vocab));
    }
  }
  if (const auto logits = golden.find("logits"); logits && logits->columns != vocab)
    return other_model(golden,
                       cat("it has logits of ", logits->columns, " tokens, the model's vocabulary has ", vocab));
  return {};
}

/// Compares greedy ids and, where they agree, the logits behind the last one.
Result<void> check_greedy(StepRunner& runner, const Golden& golden, TensorView logits, Comparer& comparer,
                          GoldenReport& report) {
  const StepPlan plan = prompt_plan(runner, golden);
  const std::size_t count = golden.greedy().size();
  CORBEL_ASSIGN(report.greedy, decode_greedily(runner, plan, logits, count, 0));
  report.greedy_equal = leading_equal(report.greedy, golden.greedy());
  bool equal = report.greedy == golden.greedy();
  if (equal) comparer.see_last_logits(logits);
  if (!golden.greedy_frozen().empty()) {
    CORBEL_ASSIGN(logits, runner.run(plan));
    CORBEL_ASSIGN(const auto frozen, decode_greedily(runner, plan, logits, count, golden.rope_length()));
    report.frozen_equal = leading_equal(frozen, golden.greedy_frozen());
    equal = equal && frozen == golden.greedy_frozen();
  }
  const bool only_logits_differ = report.first_wrong == kLastLogits;
  if (only_logits_differ || (report.greedy_checked && !equal && report.first_wrong.empty()))
    report.first_wrong = "greedy";
  return {};
}

struct Checkpoint {
  Json config;
  std::string config_path;
  std::shared_ptr<const TensorSource> tensors;
};

/// The checkpoint of a golden's folder: its own weights, or seeded ones of the shapes that config.json asks for.
Result<Checkpoint> open_checkpoint(const std::filesystem::path& folder, const Golden& golden) {
  CORBEL_ASSIGN(const std::shared_ptr<const ModelPackage> package, open_model_package(folder));
  Checkpoint checkpoint{.config_path = package->files().where("config.json")};
  CORBEL_ASSIGN(checkpoint.config, package->files().require_json("config.json"));
  if (golden.metadata("weights") != "seeded") {
    CORBEL_ASSIGN(checkpoint.tensors, package->tensors());
    return checkpoint;
  }
  // A made-up checkpoint has what the golden says that the recorded one had.
  std::vector<std::string> optional;
  const JsonFields fields(checkpoint.config, checkpoint.config_path);
  CORBEL_ASSIGN(const bool tied, fields.get_bool("tie_word_embeddings", false));
  if (!tied) optional.emplace_back("lm_head.weight");
  if (golden.metadata("switches").find("qkv bias") != std::string::npos)
    optional.insert(optional.end(), {"q_proj.bias", "k_proj.bias", "v_proj.bias"});
  const std::string seed = golden.metadata("weights_seed");
  if (seed.empty() || seed.size() > 18 || seed.find_first_not_of("0123456789") != std::string::npos) {
    return fail(Code::bad_file, cat(golden.description(), ": metadata \"weights_seed\" is \"", seed,
                                    "\"; expected a number of at most 18 digits"));
  }
  checkpoint.tensors = std::make_shared<SeededSource>(std::stoull(seed), DType::bf16, optional);
  return checkpoint;
}

bool holds_bf16(const TensorSource& tensors, const Golden& golden) {
  if (golden.metadata("weights") == "seeded") return true;
  for (const std::string& name : tensors.names()) {
    if (const auto tensor = tensors.find(name); tensor && tensor->format == &bf16_format()) return true;
  }
  return false;
}

/// Head dimension as config.json has it; 0 when it says nothing sensible: the model will refuse it.
std::int64_t head_dim_of(const Json& config) {
  const JsonFields fields(config, "config.json");
  const auto heads = fields.get_int("num_attention_heads", 0, 1, 1 << 22);
  const auto hidden = fields.get_int("hidden_size", 0, 1, 1 << 22);
  const auto own = fields.get_int("head_dim", 0, 1, 1 << 22);
  if (own && *own > 0) return *own;
  return heads && hidden && *heads > 0 ? *hidden / *heads : 0;
}

Result<void> inject(const Fault& fault, const Golden& golden, Checkpoint& checkpoint, FaultyDevice& device) {
  const FaultScene scene{checkpoint.config, *checkpoint.tensors, golden};
  if (!fault_is_visible(fault, scene)) {
    return fail(Code::bad_request, cat("fault \"", fault.name, "\" (", fault.what,
                                       ") cannot be seen with this model and golden; --list-faults names the others"));
  }
  if (fault.edit_ops != nullptr) fault.edit_ops(device);
  if (fault.edit_weights != nullptr) checkpoint.tensors = fault.edit_weights(checkpoint.tensors);
  if (fault.edit_config != nullptr) fault.edit_config(checkpoint.config);
  return {};
}

}  // namespace

double GoldenReport::worst_error() const {
  double worst = 0.0;
  for (const ModuleReport& module : modules) worst = std::max(worst, module.comparison.worst_row_error);
  return worst;
}

double golden_bound(int roundings, std::int64_t hidden) {
  if (roundings == 0) return 1e-5;
  constexpr double kUnit = 0.4 * 0x1p-8;
  const double spread = 1.0 + 16.0 / std::sqrt(static_cast<double>(hidden));
  return 4.0 * spread * kUnit * std::sqrt(static_cast<double>(roundings));
}

Result<GoldenReport> compare_with_golden(const TextModel& model, Device& device, const Golden& golden,
                                         const Roundings& roundings) {
  CORBEL_TRY(check_fits(model, golden));
  const auto tokens = static_cast<std::int64_t>(golden.prompt().size());
  const auto decoded = static_cast<std::int64_t>(golden.greedy().size());
  CORBEL_ASSIGN(StepRunner runner,
                StepRunner::make(
                    model, device,
                    {.step_rows = tokens, .logit_rows = tokens, .sequences = 1, .context_tokens = tokens + decoded}));
  GoldenReport report{.greedy_checked = !roundings.any()};
  Comparer comparer(golden, RoundingCount(roundings), model.info().hidden, report);
  runner.set_tap(Comparer::tap, &comparer);
  const auto logits = runner.run(prompt_plan(runner, golden));
  runner.set_tap(nullptr, nullptr);
  if (!comparer.misfit().empty()) return other_model(golden, comparer.misfit());
  if (!logits && report.first_wrong.empty()) return forward_failure(logits);
  if (!logits) return report;  // NaN on the way: the taps have named the module
  if (report.modules.empty()) return other_model(golden, "none of its outputs is of a module that this model has");
  CORBEL_TRY(check_greedy(runner, golden, *logits, comparer, report));
  if (!comparer.misfit().empty()) return other_model(golden, comparer.misfit());
  return report;
}

Result<GoldenReport> verify_folder(const VerifyRequest& request, const Golden& golden, Device& device) {
  CORBEL_ASSIGN(Checkpoint checkpoint, open_checkpoint(request.folder, golden));
  const bool exact = request.options.strategy == Strategy::accuracy;
  FaultyDevice faulty(device);
  Device* chosen = &device;
  if (request.fault != nullptr) {
    faulty.set_head_dim(head_dim_of(checkpoint.config));
    CORBEL_TRY(inject(*request.fault, golden, checkpoint, faulty));
    chosen = &faulty;
  }
  CORBEL_ASSIGN(const std::unique_ptr<TextModel> model,
                make_text_model(checkpoint.config, checkpoint.config_path, checkpoint.tensors, *chosen,
                                request.families, request.options));
  const DType cache = model->info().cache.groups.front().page.dtype;
  const Roundings roundings{.products = !exact && holds_bf16(*checkpoint.tensors, golden),
                            .cache = cache == DType::bf16,
                            .int8_cache = cache == DType::i8};
  return compare_with_golden(*model, *chosen, golden, roundings);
}

Result<std::vector<VisibleFault>> visible_faults(const std::filesystem::path& folder, const Golden& golden) {
  CORBEL_ASSIGN(const Checkpoint checkpoint, open_checkpoint(folder, golden));
  const FaultScene scene{checkpoint.config, *checkpoint.tensors, golden};
  std::vector<VisibleFault> visible;
  for (const Fault& fault : all_faults()) {
    if (fault_is_visible(fault, scene)) visible.push_back({&fault, expected_first_wrong(fault, scene)});
  }
  return visible;
}

}  // namespace corbel
