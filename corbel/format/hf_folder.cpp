#include "corbel/format/hf_folder.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/quote.h"
#include "corbel/format/safetensors.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";

/// Several safetensors files as one source.
class Shards final : public TensorSource {
 public:
  explicit Shards(fs::path folder) : folder_(std::move(folder)) {}

  Result<void> add(std::string_view file_name) {
    CORBEL_ASSIGN(SafetensorsFile file, SafetensorsFile::open(folder_ / file_name));
    for (std::string& name : file.names()) {
      const auto [at, is_new] = shard_of_.emplace(std::move(name), files_.size());
      if (!is_new)
        return fail(Code::bad_file, cat(folder_.string(), ": tensor ", quote(at->first), " is in two shards, ",
                                        file_names_[at->second], " and ", file_name));
    }
    files_.push_back(std::move(file));
    file_names_.emplace_back(file_name);
    return {};
  }

  std::optional<SourceTensor> find(std::string_view name) const override {
    const auto found = shard_of_.find(name);
    return found == shard_of_.end() ? std::nullopt : files_[found->second].find(name);
  }
  std::string describe(std::string_view name) const override {
    const auto found = shard_of_.find(name);
    return found == shard_of_.end() ? "absent" : files_[found->second].describe(name);
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    names.reserve(shard_of_.size());
    for (const auto& [name, shard] : shard_of_) names.push_back(name);
    return names;
  }
  std::string description() const override { return folder_.string(); }

  /// The file that holds a tensor, empty when none does.
  std::string_view file_of(std::string_view name) const {
    const auto found = shard_of_.find(name);
    return found == shard_of_.end() ? std::string_view() : std::string_view(file_names_[found->second]);
  }

 private:
  fs::path folder_;
  std::vector<SafetensorsFile> files_;
  std::vector<std::string> file_names_;
  std::map<std::string, std::size_t, std::less<>> shard_of_;
};

/// A name that cannot lead out of the folder.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

using WeightMap = std::map<std::string, std::string>;  // tensor -> shard

Result<WeightMap> read_weight_map(const fs::path& index) {
  CORBEL_ASSIGN(const Json json, read_json_file(index));
  CORBEL_ASSIGN(const JsonFields map, JsonFields(json, index.string()).object("weight_map"));
  WeightMap shards;
  for (const auto& [tensor, shard] : map.json().get_ref<const Json::object_t&>()) {
    if (!shard.is_string())
      return fail(Code::bad_file, cat(index.string(), ": \"weight_map\" gives no file name for ", quote(tensor)));
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name))
      return fail(Code::bad_file, cat(index.string(), ": \"weight_map\" puts ", quote(tensor), " into ", quote(name),
                                      "; expected the name of a file in the same folder"));
    shards.emplace(tensor, name);
  }
  if (shards.empty()) return fail(Code::bad_file, cat(index.string(), ": \"weight_map\" names no tensor"));
  return shards;
}

Result<std::unique_ptr<TensorSource>> open_shards(const fs::path& folder) {
  const fs::path index = folder / kIndexFile;
  CORBEL_ASSIGN(const WeightMap map, read_weight_map(index));
  std::set<std::string_view> shards;
  for (const auto& [tensor, shard] : map) shards.insert(shard);
  auto source = std::make_unique<Shards>(folder);
  for (const std::string_view shard : shards) {
    std::error_code error;
    if (!fs::exists(folder / shard, error))
      return fail(Code::bad_file, cat(index.string(), " names the shard ", quote(shard),
                                      ", which is not there. Is the download complete?"));
    CORBEL_TRY(source->add(shard));
  }
  for (const auto& [tensor, shard] : map) {
    const std::string_view holder = source->file_of(tensor);
    if (holder != shard)
      return fail(Code::bad_file, cat(index.string(), " says that ", shard, " holds the tensor ", quote(tensor),
                                      holder.empty() ? ", but no shard does" : cat(", but it is in ", holder)));
  }
  return std::unique_ptr<TensorSource>(std::move(source));
}

/// Why a folder without safetensors cannot be read, from what is in it.
Failure no_weights(const fs::path& folder) {
  std::vector<std::string> pickles;
  std::vector<std::string> others;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path name = entries->path().filename();
    const std::string extension = name.extension().string();
    if (extension == ".bin" || extension == ".pth" || extension == ".pt" || extension == ".ckpt")
      pickles.push_back(name.string());
    if (extension == ".safetensors" || extension == ".gguf") others.push_back(name.string());
  }
  if (error) return fail(Code::bad_file, cat("cannot list ", folder.string(), ": ", error.message()));
  const std::string expected = cat("expected ", kSingleFile, " or ", kIndexFile);
  const auto first = [](const std::vector<std::string>& names) {
    return *std::min_element(names.begin(), names.end());
  };
  if (!others.empty()) return fail(Code::bad_file, cat(folder.string(), " has ", quote(first(others)), ", ", expected));
  if (!pickles.empty())
    return fail(Code::unsupported,
                cat(folder.string(), " has its weights as a pickle, ", quote(first(pickles)),
                    ", a program that Corbel does not run; ", expected,
                    ". Convert once with transformers: model.save_pretrained(folder, safe_serialization=True)"));
  return fail(Code::bad_file, cat(folder.string(), " has no weights, ", expected));
}

}  // namespace

Result<std::unique_ptr<TensorSource>> open_hf_folder(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) return fail(Code::bad_file, cat("no folder ", folder.string()));
  if (error) return fail(Code::bad_file, cat("cannot open ", folder.string(), ": ", error.message()));
  if (!fs::is_directory(status))
    return fail(Code::bad_file, cat(folder.string(), " is no folder; expected one with config.json and ", kSingleFile));
  const fs::file_type single = fs::symlink_status(folder / kSingleFile, error).type();
  if (error && single != fs::file_type::not_found)
    return fail(Code::bad_file, cat("cannot look into ", folder.string(), ": ", error.message()));
  if (single != fs::file_type::not_found) {
    CORBEL_ASSIGN(SafetensorsFile file, SafetensorsFile::open(folder / kSingleFile));
    return std::unique_ptr<TensorSource>(std::make_unique<SafetensorsFile>(std::move(file)));
  }
  if (fs::symlink_status(folder / kIndexFile, error).type() != fs::file_type::not_found) return open_shards(folder);
  return no_weights(folder);
}

}  // namespace corbel
