#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "corbel/base/output_file.h"
#include "corbel/format/artifact_layout.h"
#include "corbel/format/block_gatherer.h"

namespace corbel {

/// Writes the sections of a layout to PATH.partial, keeps their checksums, and renames when all are there. What
/// ArtifactWriter (artifact_writer.h) promises about failures and interruptions is kept here. One thread at a time.
///
/// The journal beside it: 16 bytes, checksum of the header; then per finished section its index (4 bytes, little
/// endian) and the checksum of the checksums of its pieces (16 bytes).
class SectionWriter {
 public:
  enum class Start { anew, resume };
  static Result<SectionWriter> open(const std::filesystem::path& path, ArtifactLayout layout, Start start);

  SectionWriter(SectionWriter&&) noexcept = default;
  SectionWriter& operator=(SectionWriter&&) noexcept = default;
  ~SectionWriter();

  const ArtifactLayout& layout() const noexcept { return layout_; }
  bool is_written(std::size_t section) const { return progress_[section].is_finished; }
  Result<void> append(std::size_t section, std::span<const std::byte> bytes);
  /// Forgets what was written of a section.
  void restart(std::size_t section);
  /// Writes the checksums, syncs, renames.
  Result<void> finish();
  void keep_partial() noexcept { keeps_partial_ = true; }

 private:
  struct Progress {
    std::int64_t written = 0;  // of the section's own bytes
    bool is_finished = false;
    std::unique_ptr<PieceChecksums> running;
    std::vector<Checksum> pieces;
  };
  SectionWriter() = default;
  Result<void> start_anew();
  Result<void> read_journal();
  Result<bool> is_same_on_disk(std::size_t section, const Checksum& expected);
  Result<void> close_section(std::size_t section);
  Result<void> note_finished(std::size_t section);  // in the journal
  Result<void> write(std::int64_t offset, std::span<const std::byte> bytes);
  Result<void> flush();
  Result<void> note_what_is_in_the_file();  // in the journal, of the sections that waited for it
  Result<void> write_checksums();
  Result<void> failed(Failure failure) noexcept;  // what is left behind goes away

  std::filesystem::path target_;
  OutputFile file_, journal_;
  BlockGatherer gatherer_;                // of file_
  std::vector<std::size_t> unjournaled_;  // finished, but some of their bytes are not in the file yet
  std::int64_t journal_bytes_ = 0;
  ArtifactLayout layout_;
  std::vector<Progress> progress_;
  bool keeps_partial_ = false;
};

}  // namespace corbel
