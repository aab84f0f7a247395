#include "corbel/text/byte_spelling_model.h"

#include "corbel/text/byte_chars.h"

namespace corbel {

Result<void> ByteSpellingModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  std::string spelled;
  append_spelled(spelled, piece);
  return model_->encode(spelled, ids);
}

}  // namespace corbel
