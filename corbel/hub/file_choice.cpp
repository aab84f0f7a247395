#include "corbel/hub/file_choice.h"

#include <algorithm>

#include "corbel/base/bytes_text.h"
#include "corbel/base/disk_names.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

/// What a model needs besides its weights, in the repository's own folder or in the places that have a name.
constexpr std::string_view kNeeded[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer.json.gz",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "modules.json",
                                        "config_sentence_transformers.json",
                                        disk_names::kEmbeddingLimitsFile,
                                        "1_Pooling/config.json"};
constexpr std::string_view kNeededEndings[] = {".model", ".tiktoken"};
constexpr std::string_view kIndex = "model.safetensors.index.json";

bool is_shard(std::string_view path) { return path.starts_with("model") && path.ends_with(".safetensors"); }

/// Without patterns. Other safetensors ("consolidated.safetensors") are the same weights again.
bool is_needed(std::string_view path) {
  if (std::ranges::find(kNeeded, path) != std::end(kNeeded) || path == kIndex) return true;
  if (path.find('/') != path.npos) return false;
  if (path.starts_with(disk_names::kLiteralVocabularyPrefix) && path.ends_with(".txt")) return true;
  return is_shard(path) ||
         std::ranges::any_of(kNeededEndings, [&](std::string_view end) { return path.ends_with(end); });
}

/// "a.gguf (1.24 GB), b.gguf (2.5 GB)", at most twenty.
std::string list_text(const std::vector<const RemoteFile*>& files) {
  constexpr std::size_t kMost = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(files.size(), kMost); ++i) {
    text += cat(i == 0 ? "" : ", ", clip(files[i]->path));
    if (files[i]->bytes >= 0) text += cat(" (", bytes_text(files[i]->bytes), ")");
  }
  if (files.size() > kMost) text += cat(" and ", files.size() - kMost, " more");
  return text.empty() ? "no file" : text;
}

std::vector<const RemoteFile*> files_that(const RepositoryListing& listing, auto condition) {
  std::vector<const RemoteFile*> files;
  for (const RemoteFile& file : listing.files)
    if (condition(file.path)) files.push_back(&file);
  return files;
}

Failure no_weights(const RepositoryListing& listing) {
  const auto gguf = files_that(listing, [](std::string_view path) { return path.ends_with(".gguf"); });
  if (!gguf.empty())
    return fail(Code::bad_request, cat("this repository holds GGUF files; say which one with --include PATTERN, as in "
                                       "--include ",
                                       quote(gguf.front()->path), ". There is ", list_text(gguf)));
  return fail(Code::bad_request,
              cat("this repository holds no model.safetensors, which is what Corbel runs; name files with --include "
                  "PATTERN to have them all the same. There is ",
                  list_text(files_that(listing, [](std::string_view) { return true; }))));
}

/// Where the set that begins at `pattern[at]` ("[") ends; npos when it does not.
std::size_t set_end(std::string_view pattern, std::size_t at) {
  std::size_t end = at + 1;
  if (end < pattern.size() && pattern[end] == '!') ++end;
  if (end < pattern.size() && pattern[end] == ']') ++end;  // first in the set, it stands for itself
  return pattern.find(']', end);
}

bool in_set(std::string_view set, char c) {
  const bool negated = set.starts_with('!');
  if (negated) set.remove_prefix(1);
  bool found = false;
  while (!set.empty()) {
    const bool range = set.size() >= 3 && set[1] == '-';
    found = found || (range ? set[0] <= c && c <= set[2] : set[0] == c);
    set.remove_prefix(range ? 3 : 1);
  }
  return found != negated;
}

/// The length of the pattern's first item when `c` is what it stands for; 0 otherwise.
std::size_t item_length(std::string_view pattern, char c) {
  if (pattern.empty()) return 0;
  if (pattern[0] == '?') return 1;
  if (pattern[0] == '[') {
    const std::size_t end = set_end(pattern, 0);
    if (end != pattern.npos) return in_set(pattern.substr(1, end - 1), c) ? end + 1 : 0;
  }
  return pattern[0] == c ? 1 : 0;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches_pattern(pattern, path); });
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view path) {
  const std::string below = pattern.ends_with('/') ? cat(pattern, '*') : std::string();
  if (!below.empty()) pattern = below;
  // After a mismatch only the last star may take one more: time is the product of the lengths, whatever the pattern.
  std::size_t star = pattern.npos;
  std::size_t taken = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < path.size();) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = i;
    } else if (const std::size_t length = item_length(pattern.substr(at), path[i]); length > 0) {
      at += length;
      ++i;
    } else if (star != pattern.npos) {
      at = star + 1;
      i = ++taken;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

Result<std::vector<RemoteFile>> choose_files(const RepositoryListing& listing, const FileChoice& choice) {
  std::vector<RemoteFile> chosen;
  for (const RemoteFile& file : listing.files) {
    const bool wanted = choice.include.empty() ? is_needed(file.path) : matches_any(choice.include, file.path);
    if (wanted && !matches_any(choice.exclude, file.path)) chosen.push_back(file);
  }
  if (choice.include.empty() && files_that(listing, is_shard).empty()) return no_weights(listing);
  if (chosen.empty())
    return fail(Code::bad_request, cat("no file of this repository is left by --include and --exclude. There is ",
                                       list_text(files_that(listing, [](std::string_view) { return true; }))));
  return chosen;
}

}  // namespace corbel
