#pragma once
#include <cstdint>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// What the post-processor puts around one sequence of ids when special tokens are asked for.
struct PostProcessor {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
};

/// From the "post_processor" object of a tokenizer file: ByteLevel (which moves offsets only), TemplateProcessing (its
/// "single" form), BertProcessing, RobertaProcessing, Sequence. Others are refused by name. Ids must be below
/// `id_limit`.
Result<PostProcessor> make_post_processor(const JsonFields& fields, std::int32_t id_limit);

}  // namespace corbel
