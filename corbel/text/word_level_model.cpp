#include "corbel/text/word_level_model.h"

#include "corbel/base/cat.h"

namespace corbel {

Result<std::unique_ptr<WordLevelModel>> WordLevelModel::make(Vocabulary vocabulary, std::int32_t unknown_id) {
  if (unknown_id != kNoToken && !vocabulary.has(unknown_id)) {
    return fail(Code::bad_file, cat("the unknown token has the id ", unknown_id, "; the vocabulary of ",
                                    vocabulary.limit(), " ids has no such token"));
  }
  return std::unique_ptr<WordLevelModel>(new WordLevelModel(std::move(vocabulary), unknown_id));
}

WordLevelModel::WordLevelModel(Vocabulary vocabulary, std::int32_t unknown_id)
    : vocabulary_(std::move(vocabulary)), unknown_id_(unknown_id) {}

Result<void> WordLevelModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::int32_t id = vocabulary_.find(piece);
  if (id == kNoToken && unknown_id_ == kNoToken) {
    return fail(Code::bad_request,
                cat("the vocabulary has no token \"", piece.substr(0, 80), "\" and no unknown token"));
  }
  ids.push_back(id == kNoToken ? unknown_id_ : id);
  return {};
}

}  // namespace corbel
