#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "corbel/hub/blob_download.h"
#include "corbel/hub/file_choice.h"

namespace corbel {

/// A repository that is wanted.
struct PullRequest {
  std::string repository;         // ORG/NAME
  std::string revision = "main";  // branch, tag, "refs/pr/1" or commit
  FileChoice choice;
  std::filesystem::path cache;  // the Hugging Face cache: hub_cache_folder()
};

struct PlannedFile {
  RemoteFile file;
  std::int64_t present_bytes = 0;  // here already
};

/// What a pull would do. Nothing was written.
struct PullPlan {
  PullRequest request;
  std::string commit;
  std::vector<PlannedFile> files;
  BlobPlace place;
  std::filesystem::path repository_folder;  // CACHE/models--ORG--NAME

  std::int64_t bytes() const;
  std::int64_t missing_bytes() const;
  std::filesystem::path snapshot() const { return repository_folder / "snapshots" / commit; }
};

struct PulledFile {
  RemoteFile file;
  BlobEnd end = BlobEnd::present;
};

/// Who watches a pull; called on the thread that called pull(), about five times a second and once at the end.
using PullWatcher = std::function<void(const PullFigures& figures)>;

/// Asks the hub for the list of files and chooses. Refused: names and revisions that are none, and what HubClient,
/// read_listing and choose_files refuse.
Result<PullPlan> plan_pull(const HubAccess& access, const PullRequest& request);

/// Downloads what is missing, several files at a time, in the layout of the hub's own client: contents in blobs/ under
/// their hashes, snapshots/COMMIT/PATH as relative links to them, refs/REVISION with the commit. Links and refs appear
/// when every content is there and right, so a snapshot is never half a model. Refused: a disk without room for it
/// (before anything is downloaded), and what download_blob refuses; then nothing of the snapshot changes.
Result<std::vector<PulledFile>> pull(const HubAccess& access, const PullPlan& plan, const PullWatcher& watcher);

}  // namespace corbel
