#pragma once
#include <atomic>
#include <filesystem>
#include <string>

#include "corbel/hub/hub_client.h"

namespace corbel {

/// Figures of a running pull: written by those who download, read by who shows them.
struct PullFigures {
  std::atomic<std::int64_t> have_bytes = 0;     // of all files: here before, or received
  std::atomic<std::int64_t> fetched_bytes = 0;  // received by this run
  std::atomic<int> waiting = 0;                 // files that another process is downloading
};

/// Where a file's content comes to lie.
struct BlobPlace {
  std::filesystem::path blobs;  // the content under its hash; what is not whole yet as HASH.incomplete
  std::filesystem::path locks;  // HASH.lock: held while HASH is being downloaded; the hub's own client does the same
};

enum class BlobEnd { present, resumed, fetched };
std::string_view blob_end_name(BlobEnd end);  // "present", "resumed", "fetched"

/// One file of a repository.
struct BlobSource {
  const std::string& repository;
  const std::string& commit;
  const RemoteFile& file;  // with size and hash
};

/// Brings a file's content to its place: goes on with what a process that died has left, waits while another one
/// downloads the same, and compares size and hash before anybody sees it. Refused: a content of another hash (removed,
/// so that the next try begins anew), a full disk (what came is kept), and what HubClient refuses.
Result<BlobEnd> download_blob(HubClient& hub, const BlobSource& source, const BlobPlace& place, PullFigures& figures);

/// Bytes that are there already: the whole size, or what an earlier run left.
std::int64_t bytes_present(const BlobPlace& place, const RemoteFile& file);

}  // namespace corbel
