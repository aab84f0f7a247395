#include "corbel/verify/golden.h"

#include <charconv>
#include <cstring>

namespace corbel {
namespace {

constexpr std::int64_t kMaxTokens = 65536;      // of prompt or answer: a golden is a proof, not a corpus
constexpr std::int32_t kMaxPosition = 1 << 30;  // leaves room for the greedy ids behind it

bool is_input(std::string_view name) {
  return name == "prompt_ids" || name == "positions" || name == "greedy_ids" || name == "greedy_ids_frozen_rope" ||
         name == "rows" || name == "logits_columns" || name == "logits_top_ids";
}

}  // namespace

Result<std::vector<std::int32_t>> Golden::integers(const std::string& name, bool required) const {
  const auto tensor = file_.find_raw(name);
  if (!tensor && !required) return std::vector<std::int32_t>();
  if (!tensor || tensor->dtype != "I64" || tensor->shape.rank() != 1) {
    return fail(Code::bad_file, cat(file_.description(), ": a golden needs \"", name, "\" as I64 [n]; found ",
                                    tensor ? cat(tensor->dtype, ' ', tensor->shape) : std::string("none"),
                                    ". Record it again with tools/golden (docs/golden_format.md)"));
  }
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < tensor->shape[0]; ++i) {
    std::int64_t value = 0;
    std::memcpy(&value, tensor->bytes.data() + i * 8, 8);
    if (value < 0 || value > kMaxPosition) {
      return fail(Code::bad_file,
                  cat(file_.description(), ": \"", name, "\"[", i, "] is ", value, "; expected 0 to ", kMaxPosition));
    }
    values.push_back(static_cast<std::int32_t>(value));
  }
  return values;
}

Result<void> Golden::read_rope_length() {
  const std::string text = metadata("rope_seq_len");
  if (text.empty()) return {};
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, rope_length_);
  if (error == std::errc() && stop == end && rope_length_ > 0) return {};
  return fail(Code::bad_file,
              cat(description(), ": metadata \"rope_seq_len\" is \"", text, "\"; expected a positive number"));
}

Result<void> Golden::read_inputs() {
  CORBEL_ASSIGN(prompt_, integers("prompt_ids", true));
  CORBEL_ASSIGN(positions_, integers("positions", false));
  CORBEL_ASSIGN(greedy_, integers("greedy_ids", true));
  CORBEL_ASSIGN(greedy_frozen_, integers("greedy_ids_frozen_rope", false));
  CORBEL_ASSIGN(rows_, integers("rows", false));
  CORBEL_ASSIGN(columns_, integers("logits_columns", false));
  const auto tokens = static_cast<std::int32_t>(prompt_.size());
  if (positions_.empty()) {
    for (std::int32_t i = 0; i < tokens; ++i) positions_.push_back(i);
  }
  return read_rope_length();
}

Result<void> Golden::check_inputs() const {
  const auto tokens = static_cast<std::int64_t>(prompt_.size());
  for (const auto& [name, ids] : {std::pair{"prompt_ids", &prompt_}, std::pair{"greedy_ids", &greedy_}}) {
    const auto count = static_cast<std::int64_t>(ids->size());
    if (count < 1 || count > kMaxTokens) {
      return fail(Code::bad_file,
                  cat(description(), ": \"", name, "\" has ", count, " entries; expected 1 to ", kMaxTokens));
    }
  }
  if (static_cast<std::int64_t>(positions_.size()) != tokens) {
    return fail(Code::bad_file,
                cat(description(), ": \"positions\" has ", positions_.size(), " entries, \"prompt_ids\" ", tokens));
  }
  for (const std::int32_t row : rows_) {
    if (row >= tokens)
      return fail(Code::bad_file, cat(description(), ": \"rows\" names row ", row, " of a prompt of ", tokens));
  }
  if (!greedy_frozen_.empty() && (greedy_frozen_.size() != greedy_.size() || rope_length_ == 0)) {
    return fail(Code::bad_file, cat(description(), ": \"greedy_ids_frozen_rope\" has ", greedy_frozen_.size(),
                                    " entries, \"greedy_ids\" ", greedy_.size(), ", metadata \"rope_seq_len\" is ",
                                    rope_length_, "; expected equal counts and a length"));
  }
  return {};
}

Result<void> Golden::check_outputs() const {
  bool any = false;
  for (const std::string& name : file_.names()) {
    if (is_input(name)) continue;
    const auto tensor = file_.find_raw(name);
    if (!tensor || tensor->dtype != "F32" || tensor->shape.rank() == 0 || tensor->shape.elements() == 0) {
      return fail(Code::bad_file, cat(description(), ": output \"", name, "\" is ", file_.describe(name),
                                      "; expected F32 of at least one number"));
    }
    // The numbers are read where they lie.
    if (reinterpret_cast<std::uintptr_t>(tensor->bytes.data()) % alignof(float) != 0) {
      return fail(Code::bad_file, cat(description(), ": output \"", name,
                                      "\" does not begin at a multiple of 4 bytes; write tools/golden's order: I64 "
                                      "tensors first, a header of a multiple of 8 bytes"));
    }
    any = true;
  }
  if (any) return {};
  return fail(Code::bad_file, cat(description(), ": no module outputs and no logits: nothing to compare with"));
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
  CORBEL_TRY(golden.read_inputs());
  CORBEL_TRY(golden.check_inputs());
  CORBEL_TRY(golden.check_outputs());
  return golden;
}

std::optional<Golden::Values> Golden::find(const std::string& name) const {
  const auto tensor = file_.find_raw(name);
  if (!tensor || tensor->dtype != "F32") return std::nullopt;
  const auto* numbers = reinterpret_cast<const float*>(tensor->bytes.data());
  return Values{{numbers, static_cast<std::size_t>(tensor->shape.elements())}, tensor->shape[tensor->shape.rank() - 1]};
}

bool Golden::holds(const std::string& module) const {
  if (module == "lm_head") return find("logits").has_value() || find("logits_at_columns").has_value();
  return find(module).has_value();
}

std::string Golden::metadata(const std::string& key) const {
  const auto found = file_.metadata().find(key);
  return found == file_.metadata().end() ? std::string() : found->second;
}

}  // namespace corbel
