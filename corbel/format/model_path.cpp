#include "corbel/format/model_path.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <system_error>
#include <tuple>
#include <vector>

#include "corbel/base/disk_names.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// One part of ORG/NAME. "." and ".." are not, nor is anything else that means more than a name to a file system.
bool is_name(std::string_view text) {
  constexpr std::size_t kLongest = 96;  // the hub's own limit
  return !text.empty() && text.size() <= kLongest && is_letter_or_digit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

fs::path expand_home(const std::string& text, const ModelSearch& search) {
  if (text.starts_with("~/") && !search.home.empty()) return fs::path(search.home) / text.substr(2);
  return text;
}

/// Newest first by time of change, then by name, so that the answer does not depend on the order of a listing.
std::optional<fs::path> newest_snapshot(const fs::path& snapshots) {
  std::vector<std::tuple<fs::file_time_type, fs::path>> found;
  std::error_code error;
  fs::directory_iterator entries(snapshots, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code unreadable;
    const fs::file_time_type time = entries->last_write_time(unreadable);
    if (!unreadable && entries->is_directory(unreadable)) found.emplace_back(time, entries->path());
  }
  if (found.empty()) return std::nullopt;
  return std::get<fs::path>(*std::max_element(found.begin(), found.end()));
}

/// The snapshot that the cached repository at `folder` stands at.
Result<fs::path> current_snapshot(const fs::path& folder, std::string_view repository) {
  const fs::path reference = folder / "refs" / "main";
  const fs::path snapshots = folder / "snapshots";
  if (!is_there(reference)) {
    if (const std::optional<fs::path> newest = newest_snapshot(snapshots)) return *newest;
    return fail(Code::bad_file,
                cat(folder.string(), " has no snapshot; `corbel pull ", repository, "` completes the download"));
  }
  constexpr std::int64_t kMaxReferenceBytes = 256;
  CORBEL_ASSIGN(std::string hash, read_text_file(reference, kMaxReferenceBytes));
  while (!hash.empty() && (hash.back() == '\n' || hash.back() == '\r' || hash.back() == ' ')) hash.pop_back();
  if (!is_name(hash))
    return fail(Code::bad_file, cat(reference.string(), " holds ", quote(hash), ", expected the name of a snapshot"));
  if (!is_folder(snapshots / hash))
    return fail(Code::bad_file, cat(reference.string(), " names the snapshot ", hash, ", which is not in ",
                                    snapshots.string(), ". Is the download complete?"));
  return snapshots / hash;
}

/// Tries places in turn and remembers them for the message.
class Search {
 public:
  Search(std::string model, const ModelSearch& search)
      : model_(std::move(model)), hub_(hub_cache_folder(search)), home_(search.home) {}

  Result<fs::path> run() {
    const std::string named = repository_of(model_);
    const std::string_view repository = named;
    const std::size_t slash = repository.find('/');
    const std::string_view name = slash == repository.npos ? repository : repository.substr(slash + 1);
    if (!hub_.empty()) {
      const std::string folder = hub_folder_name(repository);
      if (look(hub_ / folder)) return current_snapshot(hub_ / folder, repository);
    }
    if (!home_.empty()) {
      const fs::path models = home_ / "models";
      for (const fs::path& place : {models / repository, models / name, models / model_})
        if (look(place)) return place;
    }
    return not_found(repository);
  }

 private:
  bool look(const fs::path& place) {
    if (std::find(looked_.begin(), looked_.end(), place.string()) == looked_.end()) looked_.push_back(place.string());
    return is_folder(place);
  }

  Failure not_found(std::string_view repository) const {
    std::string message = cat("no model ", quote(model_), ": there is no such path");
    for (const std::string& place : looked_) message += cat(", no ", place);
    if (looked_.empty()) {
      message += ". Set HOME or HF_HOME, or give the path of a Hugging Face folder";
    } else if (looks_like_repository(repository)) {
      message += cat(". Download it with `corbel pull ", repository, "`, or give the path of a Hugging Face folder");
    } else {
      message += ". Give ORG/NAME, or the path of a Hugging Face folder";
    }
    return fail(Code::bad_request, std::move(message));
  }

  std::string model_;
  fs::path hub_;
  fs::path home_;
  std::vector<std::string> looked_;
};

}  // namespace

fs::path hub_cache_folder(const ModelSearch& search) {
  if (!search.hf_hub_cache.empty()) return expand_home(search.hf_hub_cache, search);
  if (!search.hf_home.empty()) return expand_home(search.hf_home, search) / "hub";
  if (!search.home.empty()) return fs::path(search.home) / ".cache" / "huggingface" / "hub";
  return {};
}

std::string hub_folder_name(std::string_view repository) {
  std::string name = cat("models--", repository);
  if (const std::size_t slash = name.find('/'); slash != name.npos) name.replace(slash, 1, "--");
  return name;
}

std::string repository_of(std::string_view model) {
  for (const disk_names::ModelAlias& entry : disk_names::kModelAliases)
    if (same_ignoring_case(entry.alias, model)) return std::string(entry.repository);
  return std::string(model);
}

bool looks_like_repository(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != text.npos && is_name(text.substr(0, slash)) && is_name(text.substr(slash + 1));
}

Result<fs::path> resolve_model_path(const std::string& model, const ModelSearch& search) {
  if (model.empty()) {
    if (!search.hf_model.empty() && !search.model_folder.empty() && search.hf_model != search.model_folder)
      return fail(Code::bad_request,
                  cat("HF_MODEL is ", quote(search.hf_model), " and ", disk_names::kModelFolderVariable, " is ",
                      quote(search.model_folder), "; unset one, or name the model"));
    ModelSearch rest = search;
    rest.hf_model.clear();
    rest.model_folder.clear();
    if (!search.hf_model.empty()) {
      const Result<fs::path> found = resolve_model_path(search.hf_model, rest);
      return found ? found : Result<fs::path>(forward_failure(found, "HF_MODEL"));
    }
    if (search.model_folder.empty()) return fs::path();
    const fs::path folder = expand_home(search.model_folder, search);
    if (!is_there(folder))
      return fail(Code::bad_request,
                  cat(disk_names::kModelFolderVariable, " is ", quote(search.model_folder), ", which does not exist"));
    return folder;
  }
  const fs::path path = expand_home(model, search);
  if (is_there(path)) return path;
  if (!is_name(model) && !looks_like_repository(model))
    return fail(Code::bad_request,
                cat("no model ", quote(model), ": there is no such path, and it is no ORG/NAME either"));
  return Search(model, search).run();
}

}  // namespace corbel
