#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "corbel/hub/repository_listing.h"

namespace corbel {

/// Which files of a repository are wanted.
struct FileChoice {
  std::vector<std::string> include;  // patterns; empty: what Corbel needs to run a model
  std::vector<std::string> exclude;  // patterns, taken away from these
};

/// Shell patterns over a whole path, as the hub's own client reads them: '*' any characters, '/' too; '?' one; "[a-z]",
/// "[!a-z]" one of a set; "folder/" everything below it. Bytes, case matters.
bool matches_pattern(std::string_view pattern, std::string_view path);

/// The files wanted. Without patterns: config, tokenizer, template, generation settings, pooling, and the weights as
/// safetensors. Refused: patterns that no file matches, and without patterns a repository without safetensors; the
/// message lists what there is (of GGUF files people want one, not all).
Result<std::vector<RemoteFile>> choose_files(const RepositoryListing& listing, const FileChoice& choice);

}  // namespace corbel
