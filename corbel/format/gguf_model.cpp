#include "corbel/format/gguf_model.h"

#include <charconv>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "corbel/base/cat.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/format/gguf_config.h"
#include "corbel/format/gguf_tensors.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostParts = 99999;
constexpr std::uint64_t kFixedBytes = 4 + 4 + 8 + 8;  // mark, version, number of tensors, number of keys

/// A part with its mapping, at a fixed address: the header's views and the tensors point into it.
struct MappedPart {
  explicit MappedPart(MappedFile mapped) : file(std::move(mapped)) {}
  MappedFile file;
  GgufPart part;
};

Result<GgufPart> parse_part(std::span<const std::byte> bytes, std::string source, std::string file_name) {
  if (is_git_lfs_pointer(bytes)) {
    return fail(Code::bad_file,
                cat(source, ": is a Git LFS pointer, not the weights; run `git lfs pull` in its folder"));
  }
  CORBEL_ASSIGN(GgufHeader header, GgufHeader::parse(bytes, std::move(source)));
  return GgufPart{bytes, std::move(header), std::move(file_name)};
}

Result<std::unique_ptr<MappedPart>> open_part(const fs::path& path) {
  CORBEL_ASSIGN(MappedFile file, MappedFile::open(path));
  auto mapped = std::make_unique<MappedPart>(std::move(file));
  CORBEL_ASSIGN(mapped->part, parse_part(mapped->file.bytes(), path.string(), path.filename().string()));
  return mapped;
}

/// What split files are called: NAME-00002-of-00005.gguf.
struct PartName {
  std::string stem;  // "NAME"
  std::int64_t number = 0;
  std::int64_t count = 0;
};
constexpr std::string_view kPartPattern = "NAME-0000I-of-0000N.gguf";

std::optional<PartName> read_part_name(std::string_view file_name) {
  constexpr std::string_view kEnding = "-00000-of-00000.gguf";
  if (file_name.size() <= kEnding.size()) return std::nullopt;
  const std::string_view ending = file_name.substr(file_name.size() - kEnding.size());
  PartName name{.stem = std::string(file_name.substr(0, file_name.size() - kEnding.size()))};
  for (std::size_t i = 0; i < kEnding.size(); ++i) {
    const bool digit = ending[i] >= '0' && ending[i] <= '9';
    if (kEnding[i] == '0' ? !digit : ending[i] != kEnding[i]) return std::nullopt;
  }
  std::from_chars(ending.data() + 1, ending.data() + 6, name.number);
  std::from_chars(ending.data() + 10, ending.data() + 15, name.count);
  return name;
}

fs::path part_path(const fs::path& folder, const PartName& name, std::int64_t number) {
  const auto five = [](std::int64_t value) {
    std::string digits = std::to_string(value);
    return std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits;
  };
  return folder / cat(name.stem, '-', five(number), "-of-", five(name.count), ".gguf");
}

Result<void> check_part_number(const GgufPart& part, std::int64_t number, std::int64_t count) {
  const GgufHeader& header = part.header;
  CORBEL_ASSIGN(const std::int64_t found_count, header.get_int("split.count", 1, 0, kMostParts));
  CORBEL_ASSIGN(const std::int64_t found, header.get_int("split.no", 0, 0, kMostParts));
  if (found_count == count && found == number - 1) return {};
  return fail(Code::bad_file, cat(header.source(), ": says that it is part ", found + 1, " of ", found_count,
                                  " (\"split.no\", \"split.count\"), but its name says part ", number, " of ", count));
}

Result<void> check_tensor_count(const std::vector<std::unique_ptr<MappedPart>>& parts) {
  std::size_t found = 0;
  for (const auto& mapped : parts) found += mapped->part.header.tensors().size();
  const GgufHeader& first = parts.front()->part.header;
  CORBEL_ASSIGN(const std::int64_t expected,
                first.get_int("split.tensors.count", static_cast<std::int64_t>(found), 0, INT64_MAX));
  if (static_cast<std::int64_t>(found) == expected) return {};
  return fail(Code::bad_file, cat(first.source(), ": \"split.tensors.count\" is ", expected, ", but the ", parts.size(),
                                  " parts hold ", found, " tensors"));
}

/// All parts, the first one in front; `opened` is the one whose path was given.
Result<std::vector<std::unique_ptr<MappedPart>>> open_parts(const fs::path& path, std::unique_ptr<MappedPart> opened) {
  std::vector<std::unique_ptr<MappedPart>> parts;
  CORBEL_ASSIGN(const std::int64_t count, opened->part.header.get_int("split.count", 1, 0, kMostParts));
  if (count <= 1) {
    parts.push_back(std::move(opened));
    return parts;
  }
  const auto name = read_part_name(path.filename().string());
  if (!name) {
    return fail(Code::bad_file,
                cat(path.string(), ": is one of ", count, " parts (\"split.count\"), but its name is not ",
                    kPartPattern, ", so that the others cannot be found"));
  }
  CORBEL_TRY(check_part_number(opened->part, name->number, count));
  for (std::int64_t number = 1; number <= count; ++number) {
    if (number == name->number) {
      parts.push_back(std::move(opened));
      continue;
    }
    const fs::path other = part_path(path.parent_path(), *name, number);
    std::error_code error;
    if (!fs::exists(other, error)) {
      return fail(Code::bad_file, cat(path.string(), ": is part ", name->number, " of ", count, ", but ",
                                      other.filename().string(), " is not there. Is the download complete?"));
    }
    CORBEL_ASSIGN(auto mapped, open_part(other));
    CORBEL_TRY(check_part_number(mapped->part, number, count));
    parts.push_back(std::move(mapped));
  }
  CORBEL_TRY(check_tensor_count(parts));
  return parts;
}

/// JSON as a file would hold it. Bytes of the file that are not UTF-8 become U+FFFD.
std::string as_file(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n'; }

using Texts = std::map<std::string, std::string, std::less<>>;

/// The keys of a file without its tensors, as a file of its own.
std::string keys_only(const GgufPart& part) {
  std::string file(reinterpret_cast<const char*>(part.bytes.data()), part.header.keys_end());
  const std::uint64_t no_tensors = 0;
  static_assert(kFixedBytes == 24);
  std::memcpy(file.data() + 8, &no_tensors, sizeof no_tensors);
  return file;
}

Result<Texts> make_texts(const GgufKeys& keys, const disk_names::GgufArchitecture& architecture, GgufTensors& tensors) {
  GgufRopeFactors factors;
  CORBEL_ASSIGN(factors.all, tensors.take_vector("rope_freqs.weight"));
  CORBEL_ASSIGN(factors.longer, tensors.take_vector("rope_factors_long.weight"));
  CORBEL_ASSIGN(factors.shorter, tensors.take_vector("rope_factors_short.weight"));
  Texts texts;
  CORBEL_ASSIGN(const Json config, make_gguf_config(keys, architecture, tensors, factors));
  CORBEL_ASSIGN(const Json generation, make_gguf_generation_config(keys.header()));
  CORBEL_ASSIGN(const Json tokenizer, make_gguf_tokenizer_config(keys.header()));
  CORBEL_ASSIGN(const Json pooling, make_gguf_pooling_config(keys));
  texts["config.json"] = as_file(config);
  if (!pooling.is_null()) texts["1_Pooling/config.json"] = as_file(pooling);
  texts["generation_config.json"] = as_file(generation);
  texts["tokenizer_config.json"] = as_file(tokenizer);
  if (tokenizer.contains("chat_template") && tokenizer["chat_template"].is_string())
    texts["chat_template.jinja"] = tokenizer["chat_template"].get<std::string>();
  return texts;
}

/// What a model is made of; the tensors keep it alive, too.
struct Parts {
  std::vector<std::unique_ptr<MappedPart>> mapped;
  GgufPart in_memory;  // where nothing is mapped

  std::vector<const GgufPart*> all() const {
    std::vector<const GgufPart*> parts;
    for (const auto& one : mapped) parts.push_back(&one->part);
    if (parts.empty()) parts.push_back(&in_memory);
    return parts;
  }
};

class OpenedModel final : public GgufModel {
 public:
  explicit OpenedModel(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)), first_(*parts_->all().front()) {
    for (const auto& mapped : parts_->mapped) files_.push_back(mapped->file.path());
  }

  Result<void> read() {
    CORBEL_ASSIGN(const auto* architecture, find_gguf_architecture(first_.header));
    const GgufKeys keys(first_.header, architecture->name);
    CORBEL_ASSIGN(tensors_, GgufTensors::make(parts_->all(), first_.header.source(), parts_));
    CORBEL_ASSIGN(texts_, make_texts(keys, *architecture, *tensors_));
    if (!architecture->pairs_side_by_side) return {};
    CORBEL_ASSIGN(const GgufSizes sizes, read_gguf_sizes(keys));
    return tensors_->separate_pairs({sizes.q_heads, sizes.kv_heads, sizes.head_dim});
  }

  std::shared_ptr<const TensorSource> tensors() const override { return tensors_; }
  std::optional<std::string> text(std::string_view file_name) const override {
    if (file_name == "tokenizer.gguf" && first_.header.has("tokenizer.ggml.model")) return keys_only(first_);
    const auto found = texts_.find(file_name);
    return found == texts_.end() ? std::nullopt : std::optional(found->second);
  }
  const GgufHeader& header() const override { return first_.header; }
  const std::vector<fs::path>& files() const override { return files_; }
  std::int64_t owned_bytes() const override { return tensors_->owned_bytes(); }

 private:
  std::shared_ptr<const Parts> parts_;
  const GgufPart& first_;
  std::vector<fs::path> files_;
  std::shared_ptr<GgufTensors> tensors_;
  Texts texts_;
};

Result<std::unique_ptr<GgufModel>> make_model(std::shared_ptr<const Parts> parts) {
  auto model = std::make_unique<OpenedModel>(std::move(parts));
  CORBEL_TRY(model->read());
  return std::unique_ptr<GgufModel>(std::move(model));
}

}  // namespace

Result<std::unique_ptr<GgufModel>> GgufModel::open(const fs::path& path) {
  CORBEL_ASSIGN(auto opened, open_part(path));
  auto parts = std::make_shared<Parts>();
  CORBEL_ASSIGN(parts->mapped, open_parts(path, std::move(opened)));
  return make_model(std::move(parts));
}

Result<std::unique_ptr<GgufModel>> GgufModel::read(std::span<const std::byte> file, std::string source) {
  std::string file_name = source;
  auto parts = std::make_shared<Parts>();
  CORBEL_ASSIGN(parts->in_memory, parse_part(file, std::move(source), std::move(file_name)));
  const GgufHeader& header = parts->in_memory.header;
  CORBEL_ASSIGN(const std::int64_t count, header.get_int("split.count", 1, 0, kMostParts));
  if (count > 1) {
    return fail(Code::bad_file, cat(header.source(), ": is one of ", count, " parts; expected a whole model"));
  }
  return make_model(std::move(parts));
}

bool looks_like_gguf(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  std::ifstream file(path, std::ios::binary);
  char mark[4] = {};
  file.read(mark, sizeof mark);
  return file.gcount() == sizeof mark && std::string_view(mark, sizeof mark) == "GGUF";
}

}  // namespace corbel
