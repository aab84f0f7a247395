#include "corbel/format/artifact_section_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

struct JournalEntry {
  std::uint32_t section;
  Checksum checksum;
};
constexpr std::int64_t kEntryBytes = 4 + sizeof(Checksum);

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Checksum checksum_of_pieces(const std::vector<Checksum>& pieces) {
  return checksum_of(std::as_bytes(std::span(pieces)));
}

}  // namespace

Result<SectionWriter> SectionWriter::open(const fs::path& path, ArtifactLayout layout, Start start) {
  SectionWriter writer;
  CORBEL_ASSIGN(writer.target_, write_target(path));
  writer.layout_ = std::move(layout);
  writer.progress_.resize(writer.layout_.sections.size());
  const fs::path partial = writer.target_.string() + ".partial";
  // Opened as it is: what another process is writing must not be cut before the lock says so.
  CORBEL_ASSIGN(writer.file_, OutputFile::open(partial, OutputFile::Start::as_it_is));
  CORBEL_ASSIGN(writer.journal_, OutputFile::open(partial.string() + ".journal", OutputFile::Start::as_it_is));
  if (start == Start::resume) CORBEL_TRY(writer.read_journal());
  CORBEL_TRY(writer.start_anew());
  return writer;
}

SectionWriter::~SectionWriter() {
  if (keeps_partial_) {
    static_cast<void>(flush());  // what is lost is written again
    return;
  }
  file_.remove();
  journal_.remove();
}

Result<void> SectionWriter::failed(Failure failure) noexcept {
  file_.remove();
  journal_.remove();
  return failure;
}

/// Room on the disk, the header, and a journal of what is finished already.
Result<void> SectionWriter::start_anew() {
  if (auto reserved = file_.reserve(layout_.file_bytes); !reserved) return failed(forward_failure(reserved));
  CORBEL_TRY(write(0, bytes_of(layout_.header)));
  const Checksum header = checksum_of(layout_.header);
  CORBEL_TRY(journal_.resize(0));
  CORBEL_TRY(journal_.write(0, header.bytes));
  journal_bytes_ = sizeof header;
  for (std::size_t i = 0; i < progress_.size(); ++i) {
    if (progress_[i].is_finished) CORBEL_TRY(note_finished(i));
  }
  return {};
}

Result<void> SectionWriter::write(std::int64_t offset, std::span<const std::byte> bytes) {
  CORBEL_TRY(gatherer_.write(file_, offset, bytes));
  return note_what_is_in_the_file();
}

Result<void> SectionWriter::flush() {
  CORBEL_TRY(gatherer_.flush(file_));
  return note_what_is_in_the_file();
}

/// As soon as it is: a process that is killed has no other moment.
Result<void> SectionWriter::note_what_is_in_the_file() {
  for (const std::size_t section : std::exchange(unjournaled_, {})) {
    const ArtifactSection& place = layout_.sections[section];
    if (gatherer_.holds(place.offset, place.padded_bytes))
      unjournaled_.push_back(section);
    else
      CORBEL_TRY(note_finished(section));
  }
  return {};
}

Result<void> SectionWriter::note_finished(std::size_t section) {
  const JournalEntry entry{static_cast<std::uint32_t>(section), checksum_of_pieces(progress_[section].pieces)};
  std::array<std::byte, kEntryBytes> bytes;
  std::memcpy(bytes.data(), &entry.section, sizeof entry.section);
  std::memcpy(bytes.data() + sizeof entry.section, entry.checksum.bytes.data(), sizeof entry.checksum);
  CORBEL_TRY(journal_.write(journal_bytes_, bytes));
  journal_bytes_ += kEntryBytes;
  return {};
}

Result<void> SectionWriter::read_journal() {
  CORBEL_ASSIGN(const std::int64_t journal_bytes, journal_.size());
  CORBEL_ASSIGN(const std::int64_t file_bytes, file_.size());
  Checksum header;
  if (journal_bytes < std::ssize(header.bytes) || file_bytes != layout_.file_bytes) return {};
  CORBEL_TRY(journal_.read(0, header.bytes));
  if (header != checksum_of(layout_.header)) return {};  // of another plan
  for (std::int64_t at = sizeof header; at + kEntryBytes <= journal_bytes; at += kEntryBytes) {
    std::array<std::byte, kEntryBytes> bytes;
    CORBEL_TRY(journal_.read(at, bytes));
    JournalEntry entry{};
    std::memcpy(&entry.section, bytes.data(), sizeof entry.section);
    std::memcpy(entry.checksum.bytes.data(), bytes.data() + sizeof entry.section, sizeof entry.checksum);
    if (entry.section >= progress_.size()) return {};
    CORBEL_ASSIGN(progress_[entry.section].is_finished, is_same_on_disk(entry.section, entry.checksum));
  }
  return {};
}

Result<bool> SectionWriter::is_same_on_disk(std::size_t section, const Checksum& expected) {
  const ArtifactSection& place = layout_.sections[section];
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(place.padded_bytes, kChecksumPieceBytes)));
  PieceChecksums pieces;
  for (std::int64_t at = 0; at < place.padded_bytes; at += kChecksumPieceBytes) {
    const std::int64_t count = std::min(kChecksumPieceBytes, place.padded_bytes - at);
    const std::span<std::byte> piece(buffer.data(), static_cast<std::size_t>(count));
    CORBEL_TRY(file_.read(place.offset + at, piece));
    pieces.add(piece);
  }
  progress_[section].pieces = pieces.finish();
  return checksum_of_pieces(progress_[section].pieces) == expected;
}

Result<void> SectionWriter::append(std::size_t section, std::span<const std::byte> bytes) {
  const ArtifactSection& place = layout_.sections[section];
  Progress& progress = progress_[section];
  if (progress.is_finished || std::ssize(bytes) > place.bytes - progress.written)
    return failed(fail(Code::bad_request,
                       cat("cannot write ", target_.string(), ": section ", quote(place.name), " has ", place.bytes,
                           " bytes, ", progress.written, " are written and ", bytes.size(), " more were given")));
  if (progress.running == nullptr) progress.running = std::make_unique<PieceChecksums>();
  progress.running->add(bytes);
  if (auto written = write(place.offset + progress.written, bytes); !written) return failed(forward_failure(written));
  progress.written += std::ssize(bytes);
  return progress.written == place.bytes ? close_section(section) : Result<void>();
}

Result<void> SectionWriter::close_section(std::size_t section) {
  const ArtifactSection& place = layout_.sections[section];
  Progress& progress = progress_[section];
  const std::string padding(static_cast<std::size_t>(place.padded_bytes - place.bytes),
                            static_cast<char>(place.padding));
  progress.running->add(bytes_of(padding));
  progress.pieces = progress.running->finish();
  progress.running.reset();
  progress.is_finished = true;
  unjournaled_.push_back(section);
  if (auto written = write(place.offset + place.bytes, bytes_of(padding)); !written)
    return failed(forward_failure(written));
  return {};
}

void SectionWriter::restart(std::size_t section) {
  progress_[section] = {};
  std::erase(unjournaled_, section);
}

Result<void> SectionWriter::write_checksums() {
  std::vector<Checksum> all{checksum_of(layout_.header)};
  for (std::size_t i = 0; i + 1 < progress_.size(); ++i)
    all.insert(all.end(), progress_[i].pieces.begin(), progress_[i].pieces.end());
  all.push_back(checksum_of(std::as_bytes(std::span(all))));
  restart(progress_.size() - 1);
  return append(progress_.size() - 1, std::as_bytes(std::span(all)));
}

Result<void> SectionWriter::finish() {
  for (std::size_t i = 0; i + 1 < progress_.size(); ++i) {
    if (progress_[i].is_finished) continue;
    if (layout_.sections[i].bytes == 0) {
      CORBEL_TRY(append(i, {}));
      continue;
    }
    return failed(fail(Code::bad_request,
                       cat("cannot finish ", target_.string(), ": of section ", quote(layout_.sections[i].name), ' ',
                           progress_[i].written, " of ", layout_.sections[i].bytes, " bytes are written")));
  }
  CORBEL_TRY(write_checksums());
  if (auto written = flush(); !written) return failed(forward_failure(written));
  if (auto renamed = file_.rename_to(target_); !renamed) return failed(forward_failure(renamed));
  journal_.remove();
  return {};
}

}  // namespace corbel
