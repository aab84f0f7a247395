#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "corbel/base/json.h"

namespace corbel {

/// What "tokenizer.ggml.pre" stands for.
struct GgufSplitting {
  Json normalizer;     // a stage of a tokenizer.json, or null
  Json pre_tokenizer;  // the same
  bool ignore_merges = false;
  bool begins = false;  // the defaults of "add_bos_token" and "add_sep_token" (which ends a text here)
  bool ends = false;
};

/// The stages of the original tokenizers that the names in disk_names.h belong to. Refuses a name that it lacks,
/// listing those it has. `source` names the file.
Result<GgufSplitting> find_gguf_splitting(std::string_view name, const std::string& source);

}  // namespace corbel
