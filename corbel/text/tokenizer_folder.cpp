#include <filesystem>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/disk_names.h"
#include "corbel/base/gguf_header.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/named_files.h"
#include "corbel/base/quote.h"
#include "corbel/text/gguf_tokenizer.h"
#include "corbel/text/gzip.h"
#include "corbel/text/literal_vocabulary.h"
#include "corbel/text/sentencepiece_tokenizer.h"
#include "corbel/text/tiktoken_file.h"
#include "corbel/text/tokenizer_config.h"
#include "corbel/text/tokenizer_tables.h"
#include "corbel/text/vocab_merges.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 256U << 20;  // also of what a .gz holds

/// One file of a kind that its content tells, and the files beside it.
struct Source {
  std::string_view bytes;
  std::string where;
  const NamedFiles& files;
  const std::string& name() const { return where; }
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
  CORBEL_ASSIGN(const Json config, read_tokenizer_config(source.files, config_source));
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
  CORBEL_ASSIGN(const Json config, read_tokenizer_config(source.files, config_source));
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

Result<Tokenizer> load_file(const NamedFiles& files, std::string_view name) {
  CORBEL_ASSIGN(const FileBytes file, files.require(name));
  const std::string where = files.where(name);
  if (file.text().empty()) return fail(Code::bad_file, cat(where, " is empty (0 bytes)"));
  if (is_git_lfs_pointer(file.bytes())) {
    return fail(Code::bad_file, cat("cannot load a tokenizer from ", where,
                                    ": it is what Git LFS leaves in place of the file; run git lfs pull"));
  }
  if (!is_gzip(file.text())) return read_any({file.text(), where, files});
  CORBEL_ASSIGN(const std::string content, gunzip(file.text(), where, kMaxFileBytes));
  return read_any({content, where, files});
}

/// First parts of models in several files end so; the header with the tokenizer is in the first.
constexpr std::string_view kFirstPart = "-00001-of-";

/// The one file whose name starts with `prefix` and ends with `suffix`; empty where there is none.
Result<std::string> find_only(const NamedFiles& files, std::string_view prefix, std::string_view suffix) {
  std::vector<std::string> found;
  for (const std::string& name : files.names()) {
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    const bool later_part = name.find("-of-") != std::string::npos && name.find(kFirstPart) == std::string::npos;
    if (suffix == ".gguf" && later_part) continue;
    found.push_back(name);
  }
  if (found.empty()) return std::string();
  if (found.size() > 1) {
    return fail(Code::bad_request, cat("cannot load a tokenizer from ", files.description(), ": both ", found[0],
                                       " and ", found[1], " could hold it; name one of them"));
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
  if (!fs::is_directory(path, ignored) && fs::exists(path, ignored))
    return load_file(FolderFiles(path.parent_path()), path.filename().string());
  return load(FolderFiles(path));
}

Result<Tokenizer> Tokenizer::load(const NamedFiles& files) {
  CORBEL_ASSIGN(std::optional<Tokenizer> built, load_tokenizer_tables(files));
  if (built) return *std::move(built);
  for (const std::string_view name : kNames) {
    if (files.has(name)) return load_file(files, name);
  }
  if (files.has("vocab.json") && files.has("merges.txt")) return load_vocab_and_merges(files);
  for (const NamePattern& pattern : kPatterns) {
    CORBEL_ASSIGN(const std::string found, find_only(files, pattern.prefix, pattern.suffix));
    if (!found.empty()) return load_file(files, found);
  }
  CORBEL_ASSIGN(const std::string literals, find_only(files, disk_names::kLiteralVocabularyPrefix, ".txt"));
  if (!literals.empty()) return load_file(files, literals);
  std::string known;
  for (const std::string_view name : kNames) known += cat(" nor ", name);
  for (const NamePattern& pattern : kPatterns) known += cat(" nor *", pattern.suffix);
  return fail(Code::bad_file, cat("cannot load a tokenizer from ", files.description(),
                                  ": it has neither tokenizer.json nor vocab.json with "
                                  "merges.txt",
                                  std::string_view(known).substr(known.find(" nor tokenizer.json.gz"))));
}

}  // namespace corbel
