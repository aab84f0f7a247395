#include "apps/compile_source.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/tokenizer_tables.h"

namespace corbel::app {
namespace {

/// So that an artifact's tokenizer need not be built again at each start.
Result<void> add_tokenizer_tables(const NamedFiles& from, std::vector<ArtifactPlan::File>& files) {
  const auto json = std::ranges::find(files, "tokenizer.json", &ArtifactPlan::File::name);
  if (json == files.end()) return {};
  CORBEL_ASSIGN(std::optional<std::string> tables, make_tokenizer_tables(json->bytes, from.where(json->name)));
  if (tables) files.insert(json + 1, {std::string(kTokenizerTables), *std::move(tables)});
  return {};
}

}  // namespace

Result<CompileSource> open_compile_source(const ModelPackage& package) {
  CompileSource source;
  CORBEL_ASSIGN(source.tensors, package.tensors());
  CORBEL_ASSIGN(Json config, package.files().require_json("config.json"));
  source.config = std::make_shared<const Json>(std::move(config));
  source.config_place = package.files().where("config.json");
  CORBEL_ASSIGN(source.files, files_to_carry(package.files()));
  CORBEL_TRY(add_tokenizer_tables(package.files(), source.files));
  source.name = cat(package.name(), " (", package_kind_name(package.kind()), ")");
  CORBEL_ASSIGN(const Checksum hash, source_fingerprint(*source.tensors, package.files()));
  source.hash = to_string(hash);
  return source;
}

}  // namespace corbel::app
