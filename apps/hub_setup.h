#pragma once
#include <string>

#include "corbel/hub/pull.h"

namespace corbel::app {

/// The hub that the environment names: HF_ENDPOINT, HF_TOKEN (else the file of HF_TOKEN_PATH, else HF_HOME/token, where
/// the hub's own client keeps it), HF_HUB_DOWNLOAD_TIMEOUT (seconds without a byte). Ctrl-C cancels. Refused: values
/// that are none, and HF_HUB_OFFLINE.
Result<HubAccess> hub_access();

/// Shows how a pull goes, on standard error: on a terminal one line that changes, with rate and time left; elsewhere a
/// line for each tenth.
class PullProgress {
 public:
  explicit PullProgress(std::int64_t all_bytes);
  void show(const PullFigures& figures);
  void finish();  // ends the line
  double seconds() const;

 private:
  double rate(std::int64_t fetched_bytes, double now);

  std::int64_t all_bytes_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double rate_ = 0;       // bytes per second, over the last seconds
  double rate_time_ = 0;  // when that was
  std::int64_t rate_bytes_ = 0;
  std::int64_t shown_tenth_ = 0;
  bool told_waiting_ = false;
  bool line_open_ = false;
};

/// "12 files, 2.47 GB; 1.20 GB to download".
std::string pull_summary(const PullPlan& plan);

/// Runs a pull with its progress shown.
Result<std::vector<PulledFile>> pull_with_progress(const HubAccess& access, const PullPlan& plan);

/// Before a command opens `model`: where that means a repository of the hub that is not here, and somebody sits at the
/// terminal, says what a download takes and asks. Does nothing otherwise: opening the model then refuses, with the
/// command that downloads it. An error: the download was wanted and failed.
Result<void> offer_pull(const std::string& model);

}  // namespace corbel::app
