#pragma once
#include <cstdio>
#include <memory>
#include <string>

#include "apps/command.h"
#include "corbel/engine/engine.h"

namespace corbel::app {

/// Writes the steps of an engine as events that timeline viewers open (Perfetto, chrome://tracing): how long each ran
/// and delivered, its rows, how many requests run and wait. Format: the Trace Event Format's JSON array.
class StepTrace {
 public:
  static Result<std::unique_ptr<StepTrace>> open(const std::string& path);
  ~StepTrace();
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;

  void add(const StepReport& report);
  /// What could not be written.
  Result<void> finish();

 private:
  StepTrace(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  std::FILE* file_;
  std::string path_;
  bool any_ = false;
};

}  // namespace corbel::app
