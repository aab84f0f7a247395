#include "corbel/base/named_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/mapped_file.h"

namespace corbel {

namespace fs = std::filesystem;

FileBytes::FileBytes(std::string text) {
  auto owned = std::make_shared<const std::string>(std::move(text));
  bytes_ = *owned;
  keeper_ = std::move(owned);
}

Result<FileBytes> NamedFiles::require(std::string_view name, std::int64_t max_bytes) const {
  CORBEL_ASSIGN(std::optional<FileBytes> found, find(name, max_bytes));
  if (!found) return fail(Code::bad_file, cat("cannot open ", where(name), ": No such file or directory"));
  return *std::move(found);
}

Result<Json> NamedFiles::require_json(std::string_view name, std::int64_t max_bytes) const {
  CORBEL_ASSIGN(const FileBytes file, require(name, max_bytes));
  return parse_json(file.text(), where(name));
}

Result<std::optional<FileBytes>> FolderFiles::find(std::string_view name, std::int64_t max_bytes) const {
  constexpr std::int64_t kMapped = 1 << 20;  // shorter files are read: one call instead of page faults
  if (!has(name)) return std::optional<FileBytes>();
  const fs::path path = folder_ / name;
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error || bytes <= kMapped || bytes > static_cast<std::uintmax_t>(max_bytes)) {
    CORBEL_ASSIGN(std::string text, read_text_file(path, max_bytes));  // what is no file is refused here
    return std::optional(FileBytes(std::move(text)));
  }
  CORBEL_ASSIGN(MappedFile file, MappedFile::open(path));
  auto mapped = std::make_shared<const MappedFile>(std::move(file));
  const std::span<const std::byte> content = mapped->bytes();
  const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
  return std::optional(FileBytes(text, std::move(mapped)));
}

bool FolderFiles::has(std::string_view name) const {
  std::error_code ignored;
  return fs::exists(folder_ / name, ignored);
}

std::vector<std::string> FolderFiles::names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace corbel
