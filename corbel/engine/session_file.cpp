#include "corbel/engine/session_file.h"

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/ops/page_tail.h"

namespace corbel {
namespace {

static_assert(std::endian::native == std::endian::little, "files of sequences are little-endian");

constexpr std::string_view kMagic = "corbel.sequence\n";
constexpr std::size_t kVersionAt = 16;
constexpr std::size_t kLengthAt = 20;
constexpr std::size_t kChecksumAt = 24;
constexpr std::size_t kDescriptionAt = 40;
constexpr std::uint32_t kMostDescriptionBytes = 1 << 16;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;  // slots are 32-bit numbers; see kMostContext of apps
constexpr std::int64_t kMostCount = std::int64_t{1} << 40;   // far beyond any real page, far below an overflow

using Bytes = std::span<const std::byte>;

Checksum description_checksum(Bytes start, Bytes description) {
  RunningChecksum sum;
  sum.add(start.first(kChecksumAt));
  sum.add(description);
  return sum.value();
}

std::uint32_t number_at(Bytes bytes, std::size_t offset) {
  std::uint32_t number = 0;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

/// What goes into the file: pages where they lie, but for the last one of a group, whose tail is cleared in a copy.
struct Parts {
  std::vector<Bytes> spans;
  std::vector<std::vector<std::byte>> copies;
};

void add_group(const StepRunner& runner, int group, std::int64_t tokens, const std::vector<std::int32_t>& pages,
               Parts& parts) {
  const CacheGroup& cache = runner.model().info().cache.groups[group];
  const std::int64_t count = pages_of_tokens(tokens);
  CORBEL_CHECK(std::ssize(pages) >= count, "a sequence of ", tokens, " tokens has ", pages.size(), " pages");
  for (std::int64_t i = 0; i < count; ++i) {
    const Bytes page = runner.page(group, pages[i]);
    const std::int64_t valid = tokens - i * kPageTokens;
    if (valid >= kPageTokens) {
      parts.spans.push_back(page);
      continue;
    }
    std::vector<std::byte>& copy = parts.copies.emplace_back(page.begin(), page.end());
    for (std::size_t layer = 0; layer < cache.layers.size(); ++layer)
      clear_page_tail(cache.page, valid, copy.data() + static_cast<std::int64_t>(layer) * cache.page.page_bytes());
    parts.spans.emplace_back(copy);
  }
}

Json identity_json(const RunIdentity& identity) {
  return {{"model", identity.model_hash},
          {"profile", identity.profile},
          {"strategy", identity.strategy},
          {"kv_cache", identity.kv_cache},
          {"context_tokens", identity.context_tokens}};
}

Result<RunIdentity> read_identity(const JsonFields& fields) {
  RunIdentity identity;
  CORBEL_ASSIGN(identity.model_hash, fields.require_string("model"));
  CORBEL_ASSIGN(identity.profile, fields.require_string("profile"));
  CORBEL_ASSIGN(identity.strategy, fields.require_string("strategy"));
  CORBEL_ASSIGN(identity.kv_cache, fields.require_string("kv_cache"));
  CORBEL_ASSIGN(identity.context_tokens, fields.require_int("context_tokens", 0, kMostTokens));
  return identity;
}

/// The first bytes of a file with this description.
std::string head_of(const std::string& description) {
  std::string head(kMagic);
  for (const std::uint32_t number : {kSequenceFileVersion, static_cast<std::uint32_t>(description.size())})
    head.append(reinterpret_cast<const char*>(&number), sizeof number);
  const Checksum sum = description_checksum(std::as_bytes(std::span(head)), std::as_bytes(std::span(description)));
  head.append(reinterpret_cast<const char*>(sum.bytes.data()), sum.bytes.size());
  return head;
}

}  // namespace

Result<void> save_sequence(const std::filesystem::path& path, const RunIdentity& identity, const StepRunner& runner,
                           std::span<const std::int32_t> tokens, const SequencePages& pages) {
  if (tokens.empty()) return fail(Code::bad_request, cat("cannot save ", path.string(), ": no token was run yet"));
  const CacheSpec& cache = runner.model().info().cache;
  Json groups = Json::array();
  Parts parts;
  parts.copies.reserve(cache.groups.size());
  for (std::size_t g = 0; g < cache.groups.size(); ++g) {
    const std::size_t first = parts.spans.size();
    add_group(runner, static_cast<int>(g), std::ssize(tokens), pages.groups[g], parts);
    RunningChecksum sum;
    for (std::size_t i = first; i < parts.spans.size(); ++i) sum.add(parts.spans[i]);
    const CacheGroup& group = cache.groups[g];
    groups.push_back({{"layers", group.layers.size()},
                      {"window", group.window},
                      {"kv_heads", group.page.kv_heads},
                      {"head_dim", group.page.head_dim},
                      {"page_bytes", group.page_bytes()},
                      {"checksum", to_string(sum.value())}});
  }
  const Json description = {{"run", identity_json(identity)},
                            {"tokens", tokens.size()},
                            {"tokens_checksum", to_string(checksum_of(std::as_bytes(tokens)))},
                            {"groups", groups}};
  const std::string text = description.dump();
  const std::string head = head_of(text);
  std::vector<Bytes> all = {std::as_bytes(std::span(head)), std::as_bytes(std::span(text)), std::as_bytes(tokens)};
  all.insert(all.end(), parts.spans.begin(), parts.spans.end());
  return write_parts_atomically(path, all);
}

Failure SequenceFile::refuse(std::string_view what) const {
  return fail(Code::bad_file, cat("cannot go on from ", file_.path().string(), ": ", what));
}

Result<void> SequenceFile::read_description(std::string_view text) {
  const std::string source = file_.path().string();
  CORBEL_ASSIGN(const Json json, parse_json(text, source));
  const JsonFields fields(json, source);
  CORBEL_ASSIGN(const JsonFields run, fields.object("run"));
  CORBEL_ASSIGN(identity_, read_identity(run));
  CORBEL_ASSIGN(const std::int64_t tokens, fields.require_int("tokens", 1, kMostTokens));
  CORBEL_ASSIGN(const std::string tokens_checksum, fields.require_string("tokens_checksum"));
  const auto groups = json.find("groups");
  if (groups == json.end() || !groups->is_array()) return refuse("it names no cache groups");
  for (const Json& entry : *groups) {
    const JsonFields group(entry, source, "groups");
    Group& read = groups_.emplace_back();
    CORBEL_ASSIGN(read.layers, group.require_int("layers", 1, kMostCount));
    CORBEL_ASSIGN(read.window, group.require_int("window", 0, kMostCount));
    CORBEL_ASSIGN(read.kv_heads, group.require_int("kv_heads", 1, kMostCount));
    CORBEL_ASSIGN(read.head_dim, group.require_int("head_dim", 1, kMostCount));
    CORBEL_ASSIGN(read.page_bytes, group.require_int("page_bytes", 1, kMostCount));
    CORBEL_ASSIGN(read.checksum, group.require_string("checksum"));
  }
  const std::size_t offset = kDescriptionAt + text.size();
  const auto bytes = static_cast<std::size_t>(tokens) * sizeof(std::int32_t);
  if (file_.bytes().size() - offset < bytes) return refuse(cat("it is cut short, in its ", tokens, " tokens"));
  const Bytes stored = file_.bytes().subspan(offset, bytes);
  if (to_string(checksum_of(stored)) != tokens_checksum) return refuse("its tokens are damaged");
  tokens_.resize(static_cast<std::size_t>(tokens));
  std::memcpy(tokens_.data(), stored.data(), bytes);
  pages_offset_ = offset + bytes;
  return {};
}

Result<SequenceFile> SequenceFile::open(const std::filesystem::path& path) {
  CORBEL_ASSIGN(MappedFile mapped, MappedFile::open(path));
  SequenceFile file(std::move(mapped));
  const Bytes bytes = file.file_.bytes();
  if (bytes.size() < kDescriptionAt || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    return file.refuse("it is no saved sequence");
  if (const std::uint32_t version = number_at(bytes, kVersionAt); version != kSequenceFileVersion)
    return file.refuse(cat("it has version ", version, ", this program reads version ", kSequenceFileVersion,
                           "; the conversation has to be run again"));
  const std::uint32_t length = number_at(bytes, kLengthAt);
  if (length > kMostDescriptionBytes || length > bytes.size() - kDescriptionAt)
    return file.refuse(cat("its description has ", length, " bytes, the file ", bytes.size()));
  const Bytes description = bytes.subspan(kDescriptionAt, length);
  if (std::memcmp(description_checksum(bytes, description).bytes.data(), bytes.data() + kChecksumAt,
                  sizeof(Checksum::bytes)) != 0)
    return file.refuse("its description is damaged");
  CORBEL_TRY(file.read_description({reinterpret_cast<const char*>(description.data()), description.size()}));
  return file;
}

Result<void> SequenceFile::check_fits(const RunIdentity& identity, const StepRunner& runner) const {
  if (const std::string difference = first_difference(identity_, identity); !difference.empty())
    return refuse(cat("there ", difference));
  const CacheSpec& cache = runner.model().info().cache;
  if (groups_.size() != cache.groups.size())
    return refuse(cat("it has ", groups_.size(), " cache groups, the model ", cache.groups.size()));
  std::int64_t bytes = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& stored = groups_[g];
    const CacheGroup& group = cache.groups[g];
    if (stored.layers != std::ssize(group.layers) || stored.window != group.window ||
        stored.kv_heads != group.page.kv_heads || stored.head_dim != group.page.head_dim ||
        stored.page_bytes != group.page_bytes()) {
      return refuse(cat("cache group ", g, " has ", stored.layers, " layers of ", stored.kv_heads, " x ",
                        stored.head_dim, ", window ", stored.window, ", ", stored.page_bytes,
                        " bytes a page; the model has ", group.layers.size(), " of ", group.page.kv_heads, " x ",
                        group.page.head_dim, ", window ", group.window, ", ", group.page_bytes(), " bytes"));
    }
    bytes += pages_of_tokens(std::ssize(tokens_)) * stored.page_bytes;
  }
  if (const std::int64_t found = std::ssize(file_.bytes()) - static_cast<std::int64_t>(pages_offset_); found != bytes)
    return refuse(cat("its pages have ", found, " bytes, not ", bytes, found < bytes ? ": it is cut short" : ""));
  return {};
}

Result<void> SequenceFile::read_pages(StepRunner& runner, const SequencePages& pages) const {
  Bytes rest = file_.bytes().subspan(pages_offset_);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto page_bytes = static_cast<std::size_t>(groups_[g].page_bytes);
    RunningChecksum sum;
    for (std::int64_t i = 0; i < pages_of_tokens(std::ssize(tokens_)); ++i) {
      const std::span<std::byte> page = runner.page(static_cast<int>(g), pages.groups[g][i]);
      std::memcpy(page.data(), rest.data(), page_bytes);
      sum.add(page);  // of what will be used
      rest = rest.subspan(page_bytes);
    }
    if (to_string(sum.value()) != groups_[g].checksum)
      return refuse(cat("the pages of cache group ", g, " are damaged"));
  }
  return {};
}

Result<void> save_session(const std::filesystem::path& path, const RunIdentity& identity, const Session& session) {
  return save_sequence(path, identity, session.runner(), session.tokens(), session.pages());
}

Result<std::int64_t> load_session(const std::filesystem::path& path, const RunIdentity& identity, Session& session) {
  CORBEL_ASSIGN(const SequenceFile file, SequenceFile::open(path));
  CORBEL_TRY(file.check_fits(identity, session.runner()));
  const auto restored = session.restore(
      file.tokens(), [&](const SequencePages& pages) { return file.read_pages(session.runner(), pages); });
  if (!restored) return forward_failure(restored);
  return std::ssize(file.tokens());
}

}  // namespace corbel
