#include "corbel/text/word_piece_model.h"

#include <algorithm>

#include "corbel/base/cat.h"

namespace corbel {
namespace {

/// Is the number of characters in `text` (UTF-8) at most `most`?
bool has_at_most_chars(std::string_view text, std::uint64_t most) noexcept {
  if (text.size() <= most) return true;
  const auto begins = [](char c) { return (static_cast<std::uint8_t>(c) & 0xC0) != 0x80; };
  return static_cast<std::uint64_t>(std::ranges::count_if(text, begins)) <= most;
}

}  // namespace

Result<std::unique_ptr<WordPieceModel>> WordPieceModel::make(Vocabulary vocabulary, Options options) {
  if (options.unknown_id != kNoToken && !vocabulary.has(options.unknown_id)) {
    return fail(Code::bad_file, cat("the unknown token has the id ", options.unknown_id, "; the vocabulary of ",
                                    vocabulary.limit(), " ids has no such token"));
  }
  return std::unique_ptr<WordPieceModel>(new WordPieceModel(std::move(vocabulary), std::move(options)));
}

WordPieceModel::WordPieceModel(Vocabulary vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  std::vector<ByteTrie::Key> first;
  std::vector<ByteTrie::Key> continuing;
  first.reserve(vocabulary_.size());
  for (std::int32_t id = 0; id < vocabulary_.limit(); ++id) {
    if (!vocabulary_.has(id)) continue;
    const std::string_view token = vocabulary_.text(id);
    first.push_back({token, id});
    if (token.starts_with(options_.continuing_prefix)) {
      continuing.push_back({token.substr(options_.continuing_prefix.size()), id});
    }
  }
  first_ = ByteTrie(first);
  continuing_ = ByteTrie(continuing);
}

Result<void> WordPieceModel::encode(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const std::size_t before = ids.size();
  bool known = has_at_most_chars(piece, options_.max_word_chars);
  for (std::string_view rest = piece; known && !rest.empty();) {
    const ByteTrie::Match match = (rest.size() == piece.size() ? first_ : continuing_).longest(rest);
    known = match.bytes > 0;
    if (known) ids.push_back(match.value);
    rest.remove_prefix(match.bytes);
  }
  if (known) return {};
  ids.resize(before);
  if (options_.unknown_id == kNoToken) {
    return fail(Code::bad_request,
                cat("the vocabulary has no tokens for the word \"", piece.substr(0, 80), "\" and no unknown token"));
  }
  ids.push_back(options_.unknown_id);
  return {};
}

}  // namespace corbel
