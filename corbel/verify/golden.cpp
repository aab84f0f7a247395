#include "corbel/verify/golden.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace corbel {
namespace {

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

class Comparer {
 public:
  Comparer(const Golden& golden, GoldenReport& report) : golden_(golden), report_(report) {}

  static void tap(void* user, std::string_view module, std::string_view part, const TensorView& value) {
    static_cast<Comparer*>(user)->see(cat(module, part), value);
  }

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
    ModuleReport module{.module = name};
    if (auto comparison = compare_rows(actual, expected.numbers, expected.columns, report_.bound)) {
      module.comparison = *comparison;
      module.ok = comparison->within(report_.bound);
    } else {
      module.comparison.finite = false;
      module.comparison.worst_row_error = HUGE_VAL;
    }
    if (!module.ok && report_.first_wrong.empty()) report_.first_wrong = name;
    report_.modules.push_back(std::move(module));
  }

  const Golden& golden_;
  GoldenReport& report_;
};

std::int32_t argmax(const TensorView& logits, std::int64_t row) {
  const float* values = Rows<const float>(logits)[row];
  return static_cast<std::int32_t>(std::max_element(values, values + logits.columns()) - values);
}

StepPlan one_sequence_plan(const StepRunner& runner) {
  StepPlan plan;
  plan.sequences = 1;
  plan.max_pages = static_cast<std::int32_t>(runner.pages_per_sequence());
  std::vector<std::int32_t> pages(static_cast<std::size_t>(plan.max_pages));
  for (std::int32_t page = 0; page < plan.max_pages; ++page) pages[page] = page;
  plan.page_tables.assign(runner.model().info().cache.groups.size(), pages);
  return plan;
}

Result<void> check_fits(const TextModel& model, const Golden& golden) {
  const std::int64_t vocab = model.info().vocab;
  for (const auto* ids : {&golden.prompt(), &golden.greedy(), &golden.columns()}) {
    for (const std::int32_t id : *ids) {
      if (id < 0 || id >= vocab) {
        return fail(Code::bad_file, cat("the golden speaks of token ", id, ", the model's vocabulary has ", vocab,
                                        ": is it of this model?"));
      }
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::int32_t>> Golden::integers(const std::string& name, bool required) const {
  const auto tensor = file_.find_raw(name);
  if (!tensor && !required) return std::vector<std::int32_t>();
  if (!tensor || tensor->dtype != "I64" || tensor->shape.rank() != 1) {
    return fail(Code::bad_file, cat(file_.description(), ": a golden needs \"", name, "\" as I64 [n]; found ",
                                    tensor ? cat(tensor->dtype, ' ', tensor->shape) : std::string("none")));
  }
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < tensor->shape[0]; ++i) {
    std::int64_t value = 0;
    std::memcpy(&value, tensor->bytes.data() + i * 8, 8);
    if (value < 0 || value > INT32_MAX) {
      return fail(Code::bad_file,
                  cat(file_.description(), ": \"", name, "\"[", i, "] is ", value, "; expected 0 to ", INT32_MAX));
    }
    values.push_back(static_cast<std::int32_t>(value));
  }
  return values;
}

Result<Golden> Golden::open(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto file_path = std::filesystem::is_directory(path, ignored) ? path / "golden.safetensors" : path;
  CORBEL_ASSIGN(SafetensorsFile file, SafetensorsFile::open(file_path));
  Golden golden(std::move(file));
  if (golden.metadata("format") != "corbel.golden.v1") {
    return fail(Code::bad_file, cat(file_path.string(), ": metadata \"format\" is \"", golden.metadata("format"),
                                    "\"; expected \"corbel.golden.v1\" (recorded by tools/golden)"));
  }
  CORBEL_ASSIGN(golden.prompt_, golden.integers("prompt_ids", true));
  CORBEL_ASSIGN(golden.positions_, golden.integers("positions", false));
  CORBEL_ASSIGN(golden.greedy_, golden.integers("greedy_ids", true));
  CORBEL_ASSIGN(golden.rows_, golden.integers("rows", false));
  CORBEL_ASSIGN(golden.columns_, golden.integers("logits_columns", false));
  const auto tokens = static_cast<std::int32_t>(golden.prompt_.size());
  if (tokens == 0) return fail(Code::bad_file, cat(file_path.string(), ": \"prompt_ids\" is empty"));
  if (golden.positions_.empty()) {
    for (std::int32_t i = 0; i < tokens; ++i) golden.positions_.push_back(i);
  }
  if (static_cast<std::int32_t>(golden.positions_.size()) != tokens) {
    return fail(Code::bad_file, cat(file_path.string(), ": \"positions\" has ", golden.positions_.size(),
                                    " entries, \"prompt_ids\" ", tokens));
  }
  for (const std::int32_t row : golden.rows_) {
    if (row >= tokens)
      return fail(Code::bad_file, cat(file_path.string(), ": \"rows\" names row ", row, " of ", tokens));
  }
  return golden;
}

std::optional<Golden::Values> Golden::find(const std::string& name) const {
  const auto tensor = file_.find_raw(name);
  if (!tensor || tensor->dtype != "F32" || tensor->shape.rank() == 0 || tensor->shape.elements() == 0)
    return std::nullopt;
  // The recorder aligns tensors to their type; a file that does not is not read as floats.
  if (reinterpret_cast<std::uintptr_t>(tensor->bytes.data()) % alignof(float) != 0) return std::nullopt;
  const auto* numbers = reinterpret_cast<const float*>(tensor->bytes.data());
  return Values{{numbers, static_cast<std::size_t>(tensor->shape.elements())}, tensor->shape[tensor->shape.rank() - 1]};
}

std::string Golden::metadata(const std::string& key) const {
  const auto found = file_.metadata().find(key);
  return found == file_.metadata().end() ? std::string() : found->second;
}

double golden_bound(Strategy strategy, int layers) {
  return strategy == Strategy::accuracy ? 1e-5 : 8.0 * 0x1p-9 * std::sqrt(6.0 * layers);
}

Result<GoldenReport> compare_with_golden(const TextModel& model, Device& device, const Golden& golden,
                                         Strategy strategy) {
  CORBEL_TRY(check_fits(model, golden));
  const auto tokens = static_cast<std::int32_t>(golden.prompt().size());
  const auto decoded = static_cast<std::int32_t>(golden.greedy().size());
  CORBEL_ASSIGN(StepRunner runner,
                StepRunner::make(
                    model, device,
                    {.step_rows = tokens, .logit_rows = tokens, .sequences = 1, .context_tokens = tokens + decoded}));
  GoldenReport report{.bound = golden_bound(strategy, model.info().layers)};
  Comparer comparer(golden, report);

  // Hugging Face's length-dependent scalings go by the highest position of the call.
  std::int32_t highest = *std::max_element(golden.positions().begin(), golden.positions().end());
  StepPlan plan = one_sequence_plan(runner);
  plan.prefill = {{.rows = tokens, .logit_rows = tokens, .rope_length = highest + 1}};
  plan.tokens = golden.prompt();
  plan.positions = golden.positions();
  runner.set_tap(Comparer::tap, &comparer);
  auto logits = runner.run(plan);
  runner.set_tap(nullptr, nullptr);
  if (!logits && report.first_wrong.empty()) return forward_failure(logits);
  if (!logits) return report;  // NaN on the way: the taps have named the module

  report.greedy_checked = strategy == Strategy::accuracy;
  std::int32_t position = golden.positions().back();
  std::int64_t row = tokens - 1;
  plan.prefill.clear();
  for (std::int32_t i = 0; i < decoded; ++i) {
    report.greedy.push_back(argmax(*logits, row));
    if (i + 1 == decoded) break;
    ++position;
    highest = std::max(highest, position);
    plan.decode = {{.first_slot = tokens + i, .logit_rows = 1, .rope_length = position + 1}};
    plan.tokens = {report.greedy.back()};
    plan.positions = {position};
    logits = runner.run(plan);
    if (!logits) return forward_failure(logits);
    row = 0;
  }
  const auto differs = std::mismatch(report.greedy.begin(), report.greedy.end(), golden.greedy().begin()).first;
  report.greedy_equal = static_cast<int>(differs - report.greedy.begin());
  if (report.greedy_checked && report.greedy_equal < decoded && report.first_wrong.empty())
    report.first_wrong = "greedy";
  return report;
}

}  // namespace corbel
