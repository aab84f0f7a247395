#include "corbel/text/tokenizer_tables.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/checksum.h"
#include "corbel/text/flat_tables.h"
#include "corbel/text/tokenizer_json.h"
#include "corbel/text/tokenizer_parts.h"

namespace corbel {
namespace {

// The number of the layout: of every save() of this folder.
constexpr std::string_view kMagic = "corbel tokenizer tables 1\n";
constexpr std::string_view kJson = "tokenizer.json";

}  // namespace

Result<std::optional<std::string>> make_tokenizer_tables(std::string_view json, const std::string& source) {
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::from_json(json, source));
  FlatWriter writer;
  writer.put(kMagic);
  writer.put(checksum_of(json).bytes);
  auto rest = nlohmann::json::parse(json, nullptr, false);
  if (rest.is_discarded()) return fail(Code::bad_file, cat(source, ": not valid JSON"));
  nlohmann::json& model = rest["model"];
  model["vocab"] = nlohmann::json::object();
  model["merges"] = nlohmann::json::array();
  writer.put(rest.dump());
  if (!tokenizer.parts().model->save_tables(writer)) return std::optional<std::string>();
  return std::optional(writer.take());
}

Result<std::optional<Tokenizer>> load_tokenizer_tables(const NamedFiles& files) {
  CORBEL_ASSIGN(const std::optional<FileBytes> file, files.find(kTokenizerTables));
  if (!file) return std::optional<Tokenizer>();
  CORBEL_ASSIGN(const std::optional<FileBytes> json, files.find(kJson));
  if (!json) return std::optional<Tokenizer>();
  const std::string source = files.where(kTokenizerTables);
  FlatReader reader(file->text(), source);
  CORBEL_ASSIGN(const std::string_view magic, reader.take_bytes(1));
  if (magic != kMagic) return std::optional<Tokenizer>();
  std::string checksum;
  CORBEL_TRY(reader.take(checksum));
  const Checksum actual = checksum_of(json->bytes());
  if (checksum != std::string_view(reinterpret_cast<const char*>(actual.bytes.data()), actual.bytes.size()))
    return std::optional<Tokenizer>();
  CORBEL_ASSIGN(const std::string_view rest, reader.take_bytes(1));
  CORBEL_ASSIGN(Tokenizer tokenizer, read_tokenizer_json(rest, source, &reader));
  return std::optional(std::move(tokenizer));
}

}  // namespace corbel
