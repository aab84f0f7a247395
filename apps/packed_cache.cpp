#include "apps/packed_cache.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "apps/compile_source.h"
#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/compile/compile.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/model/model_list.h"

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

/// A file's name of what people wrote.
std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-' && c != '_'; }, '-');
  return text;
}

Result<void> pack(const ModelPackage& package, const std::string& quant, const fs::path& output, Device& device) {
  CompileRequest request;
  CORBEL_ASSIGN(request.source, open_compile_source(package));
  CORBEL_ASSIGN(request.plan.quant, find_quant(quant, 0));
  request.families = linked_model_families();
  request.written_by = "corbel " CORBEL_VERSION;
  request.settings = {{"quant", quant}, {"method", std::string(quant_method_name(request.plan.method))}};
  request.output = output;
  request.cancel = &interrupted();
  CORBEL_ASSIGN(const CompileReport done, compile_model(request, device, {}));
  print_error_text(cat("packed into ", bytes_text(done.file_bytes), "\n"));
  return {};
}

}  // namespace

Result<std::shared_ptr<const ModelPackage>> packed_package(const std::shared_ptr<const ModelPackage>& package,
                                                           const std::string& quant, Device& device) {
  if (package->artifact() != nullptr)
    return fail(Code::bad_request, cat("--quant packs checkpoints; ", package->description(),
                                       " is an artifact, packed as it was compiled"));
  const fs::path folder = cache_folder();
  if (folder.empty())
    return fail(Code::bad_request,
                "--quant keeps what it packs in $XDG_CACHE_HOME/corbel or ~/.cache/corbel; neither "
                "XDG_CACHE_HOME nor HOME is set");
  CORBEL_ASSIGN(const std::shared_ptr<const TensorSource> tensors, package->tensors());
  CORBEL_ASSIGN(const Checksum content, source_fingerprint(*tensors, package->files()));
  const fs::path path =
      folder / cat(plain(package->name()), '-', plain(quant), '-', to_string(content), kArtifactExtension);
  std::error_code error;
  if (fs::exists(path, error)) {
    auto kept = open_model_package(path);
    if (kept) return kept;
    print_error_text(cat(kept.error().message, "; packing again\n"));  // damaged, or of another version's layout
  }
  fs::create_directories(folder, error);
  if (error) return fail(Code::bad_file, cat("cannot make ", folder.string(), ": ", error.message()));
  print_error_text(cat("packing ", package->name(), " as ", quant, ", once, into ", path.string(), "\n"));
  CORBEL_TRY(pack(*package, quant, path, device));
  return open_model_package(path);
}

}  // namespace corbel::app
