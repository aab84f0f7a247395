#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "corbel/compile/matrix_encoder.h"

namespace corbel {

/// The errors of tensors that are written already, beside an unfinished artifact: a resumed run needs them for the
/// certificate and will not encode those tensors again. A text file, OUTPUT.partial.errors: one tensor a line.
class ErrorJournal {
 public:
  /// With `resume` an earlier run's lines are read; what cannot be read counts as absent.
  ErrorJournal(std::filesystem::path output, bool resume);
  std::optional<TensorErrors> find(std::string_view tensor) const;
  Result<void> append(const std::string& tensor, const TensorErrors& errors);
  void remove() noexcept;

 private:
  std::filesystem::path path_;
  std::map<std::string, TensorErrors, std::less<>> known_;
};

}  // namespace corbel
