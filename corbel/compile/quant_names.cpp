#include "corbel/compile/quant_names.h"

#include <algorithm>
#include <array>

namespace corbel {
namespace {

using FormatOf = const WeightFormat& (*)();

struct QuantName {
  std::string_view name;
  std::int64_t group;  // 0: has none
  FormatOf matrices;
  FormatOf embeddings;
  FormatOf heads;
};

// The first row of a name is its default. Rows of 16-bit embeddings lie together, which gathering them likes.
// Heads and embeddings of four-bit models: docs/compile.md has the
// measurements.
constexpr std::array<QuantName, 17> kNames = {{
    {"f32", 0, f32_format, f32_format, f32_format},
    {"bf16", 0, p_bf16_format, bf16_format, p_bf16_format},
    {"f16", 0, p_f16_format, f16_format, p_f16_format},
    {"fp8", 128, fp8g128_format, fp8g128_format, fp8g128_format},
    {"w8", 256, w8_format, w8_format, w8_format},
    {"w6", 8, w6g8_format, w6g8_format, w6g8_format},
    {"w5", 16, w5g16_format, w5g16_format, w6g8_format},
    {"w4", 16, w4g16_format, w4g16_format, w4g8_format},
    {"w4", 8, w4g8_format, w4g8_format, w6g8_format},
    {"p_bf16", 0, p_bf16_format, p_bf16_format, p_bf16_format},
    {"p_f16", 0, p_f16_format, p_f16_format, p_f16_format},
    {"fp8g128", 0, fp8g128_format, fp8g128_format, fp8g128_format},
    {"w6g8", 0, w6g8_format, w6g8_format, w6g8_format},
    {"w5g16", 0, w5g16_format, w5g16_format, w5g16_format},
    {"w4g8", 0, w4g8_format, w4g8_format, w4g8_format},
    {"w4g16", 0, w4g16_format, w4g16_format, w4g16_format},
    {"auto", 0, w4g16_format, w4g16_format, w4g8_format},
}};

}  // namespace

std::vector<std::string> quant_names() {
  std::vector<std::string> names;
  for (const QuantName& entry : kNames) {
    if (std::find(names.begin(), names.end(), entry.name) == names.end()) names.emplace_back(entry.name);
  }
  return names;
}

Result<QuantChoice> find_quant(std::string_view quant, std::int64_t group) {
  std::string groups;
  bool known = false;
  for (const QuantName& entry : kNames) {
    if (entry.name != quant) continue;
    known = true;
    if (group != 0 && entry.group != group) {
      if (entry.group != 0) groups += cat(groups.empty() ? "" : " or ", entry.group);
      continue;
    }
    return QuantChoice{&entry.matrices(), &entry.embeddings(), &entry.heads(), std::string(quant)};
  }
  if (known) {
    return fail(Code::bad_request,
                cat("--group is ", group, "; ", quant,
                    groups.empty() ? std::string(" has no groups to choose") : cat(" has groups of ", groups)));
  }
  std::string list;
  for (const std::string& name : quant_names()) list += cat(list.empty() ? "" : ", ", name);
  return fail(Code::bad_request, cat("--quant is \"", quant.substr(0, 40), "\"; known: ", list));
}

}  // namespace corbel
