#include "corbel/hub/repository_listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/json.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 50;

bool is_hexadecimal(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_part(std::string_view part) {
  constexpr std::size_t kLongest = 255;  // of a name in Linux' file systems
  return !part.empty() && part.size() <= kLongest && part != "." && part != "..";
}

Result<RemoteFile> read_file(const Json& json, std::string_view source, std::size_t index) {
  RemoteFile file;
  const std::string name = cat("siblings[", index, "]");
  const JsonFields fields(json, std::string(source), name);
  CORBEL_ASSIGN(file.path, fields.require_string("rfilename"));
  if (const auto checked = check_repository_path(file.path); !checked)
    return forward_failure(checked, cat(source, ": ", name, ".rfilename"));
  CORBEL_ASSIGN(file.bytes, fields.get_int("size", -1, 0, kMostBytes));
  std::string hash;
  if (fields.has("lfs")) {
    CORBEL_ASSIGN(const JsonFields lfs, fields.object("lfs"));
    CORBEL_ASSIGN(hash, lfs.get_string("sha256", ""));
    CORBEL_ASSIGN(file.bytes, lfs.get_int("size", file.bytes, 0, kMostBytes));
  } else {
    CORBEL_ASSIGN(hash, fields.get_string("blobId", ""));
  }
  if (!hash.empty() && !read_hash(hash, file))
    return fail(Code::bad_file, cat(source, ": ", name, " has the hash ", quote(hash), "; expected 40 or 64 digits"));
  return file;
}

}  // namespace

Result<void> check_repository_path(std::string_view path) {
  const auto refuse = [&] {
    return fail(Code::bad_file, cat(quote(path), " is no path inside a repository; nothing was downloaded"));
  };
  constexpr std::size_t kLongest = 1024;
  if (path.size() > kLongest) return refuse();
  for (const char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return refuse();
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    if (!is_part(rest.substr(0, slash))) return refuse();
    if (slash == rest.npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

bool read_hash(std::string_view text, RemoteFile& file) {
  if (text.starts_with("W/")) text.remove_prefix(2);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if ((text.size() != 40 && text.size() != 64) || !is_hexadecimal(text)) return false;
  file.kind = text.size() == 64 ? HashKind::sha256 : HashKind::git_blob;
  file.hash = text;
  return true;
}

Result<RepositoryListing> read_listing(std::string_view text, std::string_view source) {
  CORBEL_ASSIGN(const Json json, parse_json(text, source));
  const JsonFields fields(json, std::string(source));
  RepositoryListing listing;
  CORBEL_ASSIGN(listing.commit, fields.require_string("sha"));
  if (listing.commit.size() != 40 || !is_hexadecimal(listing.commit))
    return fail(Code::bad_file,
                cat(source, ": \"sha\" is ", quote(listing.commit), "; expected 40 hexadecimal digits"));
  const auto siblings = json.find("siblings");
  if (siblings == json.end() || !siblings->is_array())
    return fail(Code::bad_file, cat(source, ": expected a list \"siblings\" of the repository's files"));
  for (const Json& one : *siblings) {
    CORBEL_ASSIGN(RemoteFile file, read_file(one, source, listing.files.size()));
    listing.files.push_back(std::move(file));
  }
  std::ranges::sort(listing.files, {}, &RemoteFile::path);
  const auto twice = std::ranges::adjacent_find(listing.files, {}, &RemoteFile::path);
  if (twice != listing.files.end())
    return fail(Code::bad_file, cat(source, ": ", quote(twice->path), " is listed twice"));
  return listing;
}

}  // namespace corbel
