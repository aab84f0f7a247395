#pragma once
#include <filesystem>
#include <vector>

#include "corbel/base/mapped_file.h"
#include "corbel/engine/run_identity.h"
#include "corbel/engine/session.h"

namespace corbel {

/// A sequence in a file: its tokens and the cache pages that hold their keys and values, so that another process goes
/// on where this one stopped, with the same bytes as without the break.
///
///   bytes 0-15    "corbel.sequence\n"
///   bytes 16-19   u32, kSequenceFileVersion
///   bytes 20-23   u32, bytes of the description
///   bytes 24-39   XXH3-128 of bytes 0-23 and the description
///   bytes 40-     description, JSON: the run's identity, the number of tokens, the cache groups, XXH3-128 per section
///   sections      one behind the other: tokens, i32 little-endian; then of each cache group its pages in the order of
///                 the tokens, [pages, layers, page_bytes], what stands behind the last token being zero
///
/// Pages are the device's opaque bytes: they are good for the same model, profile, strategy and cache alone, and
/// refused for others. The same conversation gives the same file, byte for byte.
inline constexpr std::uint32_t kSequenceFileVersion = 1;

/// Writes beside `path`, then renames: an old file stays until the new one is complete, and no half one is left.
/// `pages` hold all of `tokens`, which are not none.
Result<void> save_sequence(const std::filesystem::path& path, const RunIdentity& identity, const StepRunner& runner,
                           std::span<const std::int32_t> tokens, const SequencePages& pages);

/// A saved sequence, mapped. Nothing in the file is trusted: sizes are compared with what the runner's own cache takes.
class SequenceFile {
 public:
  /// Refused, saying what was found: a file that is none, cut short, of another version, with a damaged description or
  /// damaged tokens.
  static Result<SequenceFile> open(const std::filesystem::path& path);

  const RunIdentity& identity() const noexcept { return identity_; }
  std::span<const std::int32_t> tokens() const noexcept { return tokens_; }

  /// Refused: another identity, naming what differs; another cache; more or fewer bytes than its pages have.
  Result<void> check_fits(const RunIdentity& identity, const StepRunner& runner) const;
  /// Copies the pages into those of `pages`, which hold as many tokens. After check_fits(). Refused: damaged pages;
  /// what was copied is then of no use.
  Result<void> read_pages(StepRunner& runner, const SequencePages& pages) const;

 private:
  struct Group {
    std::int64_t layers = 0;
    std::int64_t window = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_dim = 0;
    std::int64_t page_bytes = 0;  // of all layers
    std::string checksum;
  };
  explicit SequenceFile(MappedFile file) : file_(std::move(file)) {}
  Result<void> read_description(std::string_view text);
  Failure refuse(std::string_view what) const;
  MappedFile file_;
  RunIdentity identity_;
  std::vector<std::int32_t> tokens_;
  std::vector<Group> groups_;
  std::size_t pages_offset_ = 0;
};

/// The conversation that a session has cached.
Result<void> save_session(const std::filesystem::path& path, const RunIdentity& identity, const Session& session);

/// Makes the saved conversation the session's; a later prefill() of a longer one runs only what is new. Returns the
/// number of tokens. Refused as by SequenceFile, with the session unchanged; damaged pages leave it empty.
Result<std::int64_t> load_session(const std::filesystem::path& path, const RunIdentity& identity, Session& session);

}  // namespace corbel
