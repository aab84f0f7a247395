#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/hub/content_hash.h"

namespace corbel {

/// A file of a repository as the hub lists it.
struct RemoteFile {
  std::string path;         // "model.safetensors", "1_Pooling/config.json"
  std::int64_t bytes = -1;  // -1: the list does not say
  HashKind kind = HashKind::git_blob;
  std::string hash;  // hexadecimal; empty: the list does not say
};

/// A repository at one commit.
struct RepositoryListing {
  std::string commit;             // 40 hexadecimal digits
  std::vector<RemoteFile> files;  // sorted by path
};

/// Reads what the hub answers to /api/models/ORG/NAME/revision/REVISION?blobs=true. Refused: what has not that form, a
/// commit or a hash that is none, the same path twice, and paths that would lead out of a folder
/// (check_repository_path): a list with one of these is taken for hostile, whole.
Result<RepositoryListing> read_listing(std::string_view text, std::string_view source);

/// Refused: empty, absolute, with "..", ".", empty or overlong parts, backslashes or control characters.
Result<void> check_repository_path(std::string_view path);

/// Takes `text` for a SHA-256 (64 digits) or git's SHA-1 (40 digits), as ETags and lists spell them; false otherwise.
bool read_hash(std::string_view text, RemoteFile& file);

}  // namespace corbel
