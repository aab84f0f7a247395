#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"
#include "corbel/base/gguf_header.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/text/gguf_tokenizer.h"
#include "corbel/text/gzip.h"
#include "corbel/text/literal_vocabulary.h"
#include "corbel/text/sentencepiece_tokenizer.h"
#include "corbel/text/tiktoken_file.h"
#include "corbel/text/tokenizer_config.h"
#include "corbel/text/vocab_merges.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 256U << 20;  // also of what a .gz holds

/// One file of a kind that its content tells.
struct Source {
  std::string_view bytes;
  fs::path path;
  std::string name() const { return path.string(); }
};

bool is_json(std::string_view bytes) noexcept {
  const std::size_t at = bytes.find_first_not_of(" \t\r\n");
  return at != std::string_view::npos && bytes[at] == '{';
}
bool is_gguf(std::string_view bytes) noexcept { return bytes.starts_with("GGUF"); }

Result<Tokenizer> read_json(const Source& source) { return Tokenizer::from_json(source.bytes, source.name()); }

Result<Tokenizer> read_gguf(const Source& source) {
  const auto* data = reinterpret_cast<const std::byte*>(source.bytes.data());
  CORBEL_ASSIGN(const GgufHeader header, GgufHeader::parse({data, source.bytes.size()}, source.name()));
  return read_gguf_tokenizer(header);
}

Result<Tokenizer> read_sentencepiece(const Source& source) {
  CORBEL_ASSIGN(const SentencePieceSpec spec, read_sentencepiece_file(source.bytes, source.name()));
  std::string config_source;
  CORBEL_ASSIGN(const Json config, read_tokenizer_config(source.path.parent_path(), config_source));
  CORBEL_ASSIGN(const bool add_end, JsonFields(config, config_source).get_bool("add_eos_token", false));
  SentencePieceUse use;
  const std::int32_t begin = spec.control_id(spec.bos_piece);
  const std::int32_t end = spec.control_id(spec.eos_piece);
  if (begin >= 0) use.before.push_back(begin);
  if (add_end && end >= 0) use.after.push_back(end);
  return make_sentencepiece_tokenizer(spec, use, source.name());
}

Result<Tokenizer> read_ranks(const Source& source) {
  std::string config_source;
  CORBEL_ASSIGN(const Json config, read_tokenizer_config(source.path.parent_path(), config_source));
  return read_rank_file(source.bytes, source.name(), JsonFields(config, config_source));
}

Result<Tokenizer> read_literals(const Source& source) { return read_literal_vocabulary(source.bytes, source.name()); }

struct FileKind {
  std::string_view what;
  bool (*is)(std::string_view bytes) noexcept;
  Result<Tokenizer> (*read)(const Source& source);
  bool any_size = false;  // only the header of such a file is read
};
constexpr FileKind kFileKinds[] = {
    {"GGUF", is_gguf, read_gguf, true},
    {"JSON", is_json, read_json},
    {"SentencePiece", is_sentencepiece_file, read_sentencepiece},
    {"ranks in base64", is_rank_file, read_ranks},
    {"literals with ids", is_literal_vocabulary, read_literals},
};

Result<Tokenizer> read_any(const Source& source) {
  std::string known;
  for (const FileKind& kind : kFileKinds) {
    known += cat(known.empty() ? "" : ", ", kind.what);
    if (!kind.is(source.bytes)) continue;
    if (!kind.any_size && source.bytes.size() > kMaxFileBytes) {
      return fail(Code::bad_file,
                  cat(source.name(), " has ", source.bytes.size(), " bytes; the limit is ", kMaxFileBytes));
    }
    return kind.read(source);
  }
  return fail(Code::unsupported, cat("cannot load a tokenizer from ", source.name(), ": its content is none of ", known,
                                     "; it starts with ", quote(source.bytes.substr(0, 16))));
}

Result<Tokenizer> load_file(const fs::path& path) {
  CORBEL_ASSIGN(const MappedFile file, MappedFile::open(path));
  if (is_git_lfs_pointer(file.bytes())) {
    return fail(Code::bad_file, cat("cannot load a tokenizer from ", path.string(),
                                    ": it is what Git LFS leaves in place of the file; run git lfs pull"));
  }
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (!is_gzip(bytes)) return read_any({bytes, path});
  CORBEL_ASSIGN(const std::string content, gunzip(bytes, path.string(), kMaxFileBytes));
  return read_any({content, path});
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// First parts of models in several files end so; the header with the tokenizer is in the first.
constexpr std::string_view kFirstPart = "-00001-of-";

/// The one file of `folder` whose name starts with `prefix` and ends with `suffix`; empty where there is none.
Result<fs::path> find_only(const fs::path& folder, std::string_view prefix, std::string_view suffix) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    const bool later_part = name.find("-of-") != std::string::npos && name.find(kFirstPart) == std::string::npos;
    if (suffix == ".gguf" && later_part) continue;
    found.push_back(at->path());
  }
  if (found.empty()) return fs::path();
  std::sort(found.begin(), found.end());
  if (found.size() > 1) {
    return fail(Code::bad_request,
                cat("cannot load a tokenizer from ", folder.string(), ": both ", found[0].filename().string(), " and ",
                    found[1].filename().string(), " could hold it; name one of them"));
  }
  return found[0];
}

struct NamePattern {
  std::string_view prefix;
  std::string_view suffix;
};
constexpr std::string_view kNames[] = {"tokenizer.json", "tokenizer.json.gz", "tokenizer.model", "spiece.model",
                                       "sentencepiece.bpe.model"};
constexpr NamePattern kPatterns[] = {{"", ".tiktoken"}, {"", ".model"}, {"", ".gguf"}};

}  // namespace

Result<Tokenizer> Tokenizer::load(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored) && is_there(path)) return load_file(path);
  for (const std::string_view name : kNames) {
    if (is_there(path / name)) return load_file(path / name);
  }
  if (is_there(path / "vocab.json") && is_there(path / "merges.txt")) return load_vocab_and_merges(path);
  for (const NamePattern& pattern : kPatterns) {
    CORBEL_ASSIGN(const fs::path found, find_only(path, pattern.prefix, pattern.suffix));
    if (!found.empty()) return load_file(found);
  }
  CORBEL_ASSIGN(const fs::path literals, find_only(path, disk_names::kLiteralVocabularyPrefix, ".txt"));
  if (!literals.empty()) return load_file(literals);
  std::string known;
  for (const std::string_view name : kNames) known += cat(" nor ", name);
  for (const NamePattern& pattern : kPatterns) known += cat(" nor *", pattern.suffix);
  return fail(Code::bad_file, cat("cannot load a tokenizer from ", path.string(),
                                  ": it has neither tokenizer.json nor vocab.json with "
                                  "merges.txt",
                                  std::string_view(known).substr(known.find(" nor tokenizer.json.gz"))));
}

}  // namespace corbel
