#include "apps/packed_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>

#include "apps/compile_source.h"
#include "apps/environment.h"
#include "apps/terminal.h"
#include "corbel/base/output_file.h"
#include "corbel/compile/compile.h"
#include "corbel/compile/for_units.h"
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

/// Checksum of all that a checkpoint holds, whatever its name and place.
Result<std::string> read_content(const ModelPackage& package, const TensorSource& tensors, Device& device) {
  const std::vector<std::string> names = tensors.names();
  std::vector<Checksum> sums(names.size());
  for_units(device.pool(), std::ssize(names), [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    if (const auto tensor = tensors.find(names[at])) sums[at] = checksum_of(tensor->bytes);
  });
  CORBEL_ASSIGN(const Checksum outline, source_fingerprint(tensors, package.files()));  // names, shapes, other files
  sums.push_back(outline);
  return to_string(checksum_of(std::as_bytes(std::span(sums))));
}

/// What tells that files of weights are the ones that were read before: their places, sizes and times. Empty where the
/// system does not say.
std::string stamp_of(const ModelPackage& package, const TensorSource& tensors) {
  std::error_code error;
  const fs::path model = fs::absolute(package.description(), error);
  const fs::path folder = fs::is_directory(model, error) ? model : model.parent_path();
  std::set<std::string> files;
  for (const std::string& name : tensors.names()) {
    if (const auto tensor = tensors.find(name)) files.insert(tensor->file);
  }
  std::string stamp;
  for (const std::string& file : files) {
    struct stat status = {};
    if (::stat((folder / file).c_str(), &status) != 0) return {};
    stamp += cat((folder / file).string(), ' ', status.st_ino, ' ', status.st_size, ' ', status.st_mtim.tv_sec, '.',
                 status.st_mtim.tv_nsec, '\n');
  }
  return stamp;
}

/// The content, read once for as long as the files stay as they are: gigabytes are not read again at every start.
Result<std::string> content_of(const ModelPackage& package, const TensorSource& tensors, const fs::path& folder,
                               Device& device) {
  CORBEL_ASSIGN(const Checksum outline, source_fingerprint(tensors, package.files()));
  const std::string stamp = cat(stamp_of(package, tensors), to_string(outline));
  const fs::path note = folder / cat(plain(package.name()), '-', to_string(checksum_of(stamp)), ".content");
  const bool may_be_noted = stamp.find('\n') != std::string::npos;
  std::string noted;
  if (may_be_noted && std::ifstream(note) >> noted && noted.size() == 2 * sizeof(Checksum)) return noted;
  CORBEL_ASSIGN(std::string content, read_content(package, tensors, device));
  if (!may_be_noted) return content;
  // Without the note it is read again next time.
  auto file = OutputFile::open(cat(note.string(), ".partial"), OutputFile::Start::empty);
  if (!file) return content;
  if (!file->write(0, std::as_bytes(std::span(content))) || !file->rename_to(note)) file->remove();
  return content;
}

/// Whoever packs the same file waits here; it is there then.
class PackingTurn {
 public:
  explicit PackingTurn(const fs::path& output) : path_(output.string() + ".lock") {
    for (bool told = false; !interrupted(); told = true) {
      descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      if (descriptor_ < 0) return;
      if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        if (!told) print_error_text(cat("another process packs ", output.string(), "; waiting for it\n"));
        while (::flock(descriptor_, LOCK_EX) != 0 && errno == EINTR && !interrupted()) {
        }
      }
      if (is_still_there()) return;
      ::close(descriptor_);  // whoever had it took the file away: the next one to come locks another
      descriptor_ = -1;
    }
  }
  ~PackingTurn() {
    if (descriptor_ < 0) return;
    ::unlink(path_.c_str());
    ::close(descriptor_);
  }
  PackingTurn(const PackingTurn&) = delete;
  PackingTurn& operator=(const PackingTurn&) = delete;

 private:
  bool is_still_there() const {
    struct stat held = {};
    struct stat named = {};
    return ::fstat(descriptor_, &held) == 0 && ::stat(path_.c_str(), &named) == 0 && held.st_ino == named.st_ino;
  }

  std::string path_;
  int descriptor_ = -1;
};

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
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(Code::bad_file, cat("cannot make ", folder.string(), ": ", error.message()));
  CORBEL_ASSIGN(const std::string content, content_of(*package, *tensors, folder, device));
  const fs::path path = folder / cat(plain(package->name()), '-', plain(quant), '-', content, kArtifactExtension);
  std::optional<PackingTurn> turn;
  if (!fs::exists(path, error)) turn.emplace(path);
  if (fs::exists(path, error)) {
    auto kept = open_model_package(path);
    if (kept) return kept;
    print_error_text(cat(kept.error().message, "; packing again\n"));  // damaged, or of another version's layout
  }
  print_error_text(cat("packing ", package->name(), " as ", quant, ", once, into ", path.string(), "\n"));
  CORBEL_TRY(pack(*package, quant, path, device));
  return open_model_package(path);
}

}  // namespace corbel::app
