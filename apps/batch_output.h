#pragma once
#include <map>
#include <string>

#include "corbel/base/output_file.h"

namespace corbel::app {

/// The answers of `corbel batch` on their way: OUT.jsonl.part has a first line that names the run, then the answers in
/// the order of the requests. Renamed at the end.
class BatchOutput {
 public:
  /// Goes on with a part that `key` began, `requests` answers at most; one of another run begins anew. Refuses a part
  /// that is some other file, and whatever cannot be written.
  static Result<BatchOutput> open(const std::string& path, const std::string& key, std::int64_t requests);

  std::int64_t done() const noexcept { return done_; }
  /// Was there a part of another run?
  bool starts_over() const noexcept { return starts_over_; }

  /// Takes answer `index` in, in any order; writes those whose turn has come.
  Result<void> put(std::int64_t index, std::string line);
  /// Without the first line, under its own name.
  Result<void> finish();

 private:
  Result<void> append(const std::string& text);

  std::filesystem::path target_;
  std::filesystem::path part_;
  OutputFile file_;
  std::int64_t head_ = 0;
  std::int64_t end_ = 0;
  std::int64_t done_ = 0;
  bool starts_over_ = false;
  std::map<std::int64_t, std::string> early_;
};

/// Refuses an output that would take the place of the requests in `file`.
Result<void> check_batch_target(const std::string& output, const std::string& file);

}  // namespace corbel::app
