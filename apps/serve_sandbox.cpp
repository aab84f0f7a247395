#include "apps/serve_sandbox.h"

#include <algorithm>
#include <fstream>

#include "apps/environment.h"
#include "apps/served_models.h"
#include "apps/terminal.h"

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

/// Others keep their files there, too: such a folder is not opened for the sake of one file.
bool is_shared(const fs::path& folder) {
  const fs::path home = environment("HOME");
  for (fs::path above = home; !above.empty(); above = above.parent_path()) {
    if (above == folder) return true;
    if (above == above.parent_path()) break;
  }
  const auto shared = {"/", "/etc", "/dev", "/run", "/tmp", "/var", "/var/log", "/var/tmp", "/home", "/root", "/usr"};
  return std::ranges::any_of(shared, [&](const char* other) { return folder == other; });
}

/// The file, and where it may be replaced by another of its name: the folder that it stands in, and that of what a link
/// leads to (certificates are handed out so).
void add_file(const fs::path& named, std::vector<fs::path>& paths) {
  std::error_code failed;
  fs::path real = fs::canonical(named, failed);
  if (failed) real = named;
  for (const fs::path& path : {fs::absolute(named, failed).lexically_normal(), real}) {
    paths.push_back(path);
    if (const fs::path folder = path.parent_path(); !is_shared(folder)) paths.push_back(folder);
  }
}

fs::path folder_of(const fs::path& file) {
  std::error_code ignored;
  return fs::absolute(file, ignored).lexically_normal().parent_path();
}

/// A file to be written that is not there yet: in a shared folder only what exists can be allowed.
void add_written(const fs::path& file, std::vector<fs::path>& paths) {
  std::error_code ignored;
  if (is_shared(folder_of(file)) && !fs::exists(file, ignored)) std::ofstream(file, std::ios::app);
  add_file(file, paths);
}

void add_model(const std::string& word, std::vector<fs::path>& paths) {
  const auto found = find_model(word);
  if (!found) return;  // told when it is opened
  const fs::path path = split_profile(*found).path;
  std::error_code failed;
  if (!fs::is_directory(path, failed)) return add_file(path, paths);
  paths.push_back(path);
  // In a hub's cache a folder is a set of links into the folder of the repository.
  if (path.parent_path().filename() == "snapshots") paths.push_back(path.parent_path().parent_path());
  for (const auto& entry : fs::directory_iterator(path, failed)) {
    if (const fs::path real = fs::canonical(entry.path(), failed); !failed && entry.is_symlink(failed))
      paths.push_back(real);
  }
}

}  // namespace

SandboxFiles sandbox_files(const ServeFlags& flags) {
  SandboxFiles files;
  // How much memory and how many processors there are, within which limits; random numbers; the hour, for templates.
  files.read = {"/proc",        "/sys/fs/cgroup", "/sys/devices/system/cpu",
                "/dev/urandom", "/etc/localtime", "/usr/share/zoneinfo"};
  for (const std::string& word : flags.models) add_model(alias_and_path(word).second, files.read);
  if (flags.models.empty()) add_model("", files.read);
  if (!flags.draft.model.empty()) add_model(flags.draft.model, files.read);
  for (const std::string& path : {flags.api_key_file, flags.tls_cert, flags.tls_key})
    if (!path.empty()) add_file(path, files.read);
  for (const std::string& path : {flags.access_log, flags.trace})
    if (!path.empty() && path != "-") add_written(path, files.append);
  if (!flags.quant.empty() && !cache_folder().empty()) {
    std::error_code ignored;
    fs::create_directories(cache_folder(), ignored);  // a rule needs a folder that is there
    files.change.push_back(cache_folder());
  }
  return files;
}

Result<void> enter_serve_sandbox(const ServeFlags& flags) {
  if (flags.sandbox == "off") return {};
  if (!flags.trace.empty() && flags.models.size() > 1 && is_shared(folder_of(flags.trace)))
    return fail(Code::bad_request,
                cat("--trace ", flags.trace, " becomes a file for each of ", flags.models.size(),
                    " models, which the sandbox allows only in a folder that others do not use, too: name one, or "
                    "--sandbox off"));
  const auto state = enter_sandbox(sandbox_files(flags));
  const bool must = flags.sandbox == "require";
  if (!state) return must ? Result<void>(forward_failure(state)) : (print_error(state.error().message), Result<void>());
  if (state->missing.empty()) return {};
  if (must) return fail(Code::bad_request, cat("--sandbox require: not to be had: ", state->missing));
  print_error_text(cat("the sandbox is without: ", state->missing, '\n'));
  return {};
}

}  // namespace corbel::app
