#include "apps/packed_cache.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/base/quote.h"

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
  static_cast<void>(output);
  static_cast<void>(device);
  return fail(Code::unsupported, cat("cannot pack ", package.description(), " as ", quote(quant), ": not built in"));
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
