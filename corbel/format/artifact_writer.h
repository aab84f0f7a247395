#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/format/artifact_manifest.h"

namespace corbel {

/// All that must be known before the first byte of an artifact of one profile is written.
struct ArtifactPlan {
  std::string written_by;   // "corbel 0.1.0"
  ArtifactProfile profile;  // its tensors are stored in the order given; files and `stored` are filled in by the writer
  struct File {
    std::string name;  // "config.json"
    std::string bytes;
  };
  std::vector<File> files;
  /// Room for a certificate (JSON text), which is measured after the weights are written; 0: none.
  std::int64_t certificate_bytes = 0;
  std::string target = "cpu";
};

/// Bytes that the file of this plan has. Refused as create() does.
Result<std::int64_t> planned_file_bytes(const ArtifactPlan& plan);

/// Writes an artifact tensor by tensor, with a few hundred KB of memory: to PATH.partial, which is renamed to PATH when
/// it is complete and synced. Sizes come first (they are in the plan), checksums last. One thread at a time.
///
///   CORBEL_ASSIGN(ArtifactWriter writer, ArtifactWriter::create(path, plan));
///   for each tensor i, in any order: while it has bytes: CORBEL_TRY(writer.append(i, piece));
///   CORBEL_TRY(writer.set_certificate(text));   // where one was planned
///   CORBEL_TRY(writer.finish());
///
/// A writer that goes away unfinished removes PATH.partial (and so does one that failed: a full disk leaves nothing
/// behind), unless keep_partial() was called. A process that is killed leaves PATH.partial and its journal
/// PATH.partial.journal; resume() goes on from there and gives the same bytes as an uninterrupted run.
class ArtifactWriter {
 public:
  /// Refused: no space for the whole file, PATH a folder or device, a plan that is no artifact (a name twice, a name
  /// with "corbel." in front, shapes that the format cannot store). What an interrupted run left behind is replaced.
  static Result<ArtifactWriter> create(const std::filesystem::path& path, const ArtifactPlan& plan);
  /// Continues what an interrupted run of the same plan left; finished tensors are read back and kept where their
  /// checksum is right. A partial file of another plan is replaced; with nothing left behind, the same as create().
  static Result<ArtifactWriter> resume(const std::filesystem::path& path, const ArtifactPlan& plan);

  ArtifactWriter(ArtifactWriter&&) noexcept;
  ArtifactWriter& operator=(ArtifactWriter&&) noexcept;
  ~ArtifactWriter();

  /// Whether all bytes of tensor `index` of the plan are written: those of resume() need no second writing.
  bool is_written(std::size_t index) const;
  /// Bytes that tensor `index` takes, without padding.
  std::int64_t tensor_bytes(std::size_t index) const;
  /// The next bytes of tensor `index` of the plan. Pieces of several tensors may come interleaved. Refused: more bytes
  /// than the tensor has; what the system says about the disk.
  Result<void> append(std::size_t index, std::span<const std::byte> bytes);
  /// Refused: none planned, or longer than planned.
  Result<void> set_certificate(std::string_view json);
  /// Writes the checksums, syncs, renames. Refused, naming it: a tensor that is not complete.
  Result<void> finish();
  /// Leaves PATH.partial and its journal in place for resume() when the writer goes away: the user interrupted.
  void keep_partial() noexcept;

 private:
  struct State;
  explicit ArtifactWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace corbel
