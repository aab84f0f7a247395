#include "apps/compile_source.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"

namespace corbel::app {

Result<CompileSource> open_compile_source(const ModelPackage& package) {
  CompileSource source;
  CORBEL_ASSIGN(source.tensors, package.tensors());
  CORBEL_ASSIGN(Json config, package.files().require_json("config.json"));
  source.config = std::make_shared<const Json>(std::move(config));
  source.config_place = package.files().where("config.json");
  CORBEL_ASSIGN(source.files, files_to_carry(package.files()));
  source.name = cat(package.name(), " (", package_kind_name(package.kind()), ")");
  CORBEL_ASSIGN(const Checksum hash, source_fingerprint(*source.tensors, package.files()));
  source.hash = to_string(hash);
  return source;
}

}  // namespace corbel::app
