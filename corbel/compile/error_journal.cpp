#include "corbel/compile/error_journal.h"

#include <cstdio>
#include <fstream>
#include <system_error>
#include <utility>

namespace corbel {

ErrorJournal::ErrorJournal(std::filesystem::path output, bool resume) : path_(std::move(output)) {
  path_ += ".partial.errors";
  if (!resume) {
    remove();
    return;
  }
  std::ifstream file(path_);
  std::string line;
  while (std::getline(file, line)) {
    const auto tab = line.find('\t');
    TensorErrors errors;
    if (tab == std::string::npos) continue;
    // Hexadecimal floats: a resumed run's certificate has the same digits as an uninterrupted one's.
    if (std::sscanf(line.c_str() + tab, " %la %la %la %la", &errors.signal, &errors.noise, &errors.weighted_signal,
                    &errors.weighted_noise) == 4)
      known_[line.substr(0, tab)] = errors;
  }
}

std::optional<TensorErrors> ErrorJournal::find(std::string_view tensor) const {
  const auto found = known_.find(tensor);
  return found == known_.end() ? std::nullopt : std::optional(found->second);
}

Result<void> ErrorJournal::append(const std::string& tensor, const TensorErrors& errors) {
  char numbers[160];
  std::snprintf(numbers, sizeof numbers, "\t%a %a %a %a\n", errors.signal, errors.noise, errors.weighted_signal,
                errors.weighted_noise);
  std::ofstream file(path_, std::ios::app);
  file << tensor << numbers << std::flush;
  if (file) return {};
  return fail(Code::bad_file, cat("cannot write ", path_.string(), "; is the disk full?"));
}

void ErrorJournal::remove() noexcept {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace corbel
