#include "corbel/hub/pull.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "corbel/base/bytes_text.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/output_file.h"
#include "corbel/base/quote.h"
#include "corbel/format/model_path.h"

namespace corbel {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kConnections = 4;

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return {};
  return fail(Code::bad_file, cat("cannot make the folder ", folder.string(), ": ", error.message()));
}

Result<void> check_room(const PullPlan& plan) {
  struct statvfs status{};
  const std::int64_t needed = plan.missing_bytes();
  if (needed == 0 || ::statvfs(plan.place.blobs.c_str(), &status) != 0) return {};
  const auto room = static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
  if (needed <= room) return {};
  return fail(Code::bad_file, cat("cannot download ", plan.request.repository, ": it takes ", bytes_text(needed),
                                  " more, ", plan.request.cache.string(), " has ", bytes_text(room),
                                  " free. Make room, or set HF_HUB_CACHE to a folder on another disk"));
}

/// Files that are being downloaded by several threads. The first that fails stops the others.
class Crew {
 public:
  Crew(const HubAccess& access, const PullPlan& plan) : access_(access), plan_(plan), ends_(plan.files.size()) {}

  Result<std::vector<PulledFile>> run(const PullWatcher& watcher) {
    const std::size_t count = std::min(kConnections, plan_.files.size());
    working_ = count;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    {
      std::unique_lock lock(mutex_);
      while (!done_.wait_for(lock, std::chrono::milliseconds(200), [this] { return working_ == 0; })) {
        lock.unlock();
        watcher(figures_);
        lock.lock();
      }
    }
    for (std::thread& thread : threads) thread.join();
    watcher(figures_);
    if (error_) return Failure{*error_};
    std::vector<PulledFile> pulled;
    for (std::size_t i = 0; i < ends_.size(); ++i) pulled.push_back({plan_.files[i].file, ends_[i]});
    return pulled;
  }

 private:
  void work() {
    HubClient hub(access_, stop_);
    for (std::size_t i = next_++; i < plan_.files.size() && !stop_; i = next_++) {
      const BlobSource source{plan_.request.repository, plan_.commit, plan_.files[i].file};
      const auto end = download_blob(hub, source, plan_.place, figures_);
      if (end) {
        ends_[i] = *end;
        continue;
      }
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = end.error();  // those that were stopped come later
      stop_ = true;
    }
    const std::lock_guard lock(mutex_);
    --working_;
    done_.notify_one();
  }

  const HubAccess& access_;
  const PullPlan& plan_;
  PullFigures figures_;
  std::vector<BlobEnd> ends_;  // of each file; one thread writes each
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t working_ = 0;
  std::optional<Error> error_;
};

/// Replaces whatever is at `link`, in one step.
Result<void> make_link(const fs::path& target, const fs::path& link) {
  std::error_code error;
  if (fs::read_symlink(link, error) == target) return {};
  CORBEL_TRY(make_folder(link.parent_path()));
  const fs::path fresh = cat(link.string(), ".", ::getpid(), ".tmp");
  fs::remove(fresh, error);
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, link, error);
  if (!error) return {};
  std::error_code ignored;
  fs::remove(fresh, ignored);
  return fail(Code::bad_file, cat("cannot make the link ", link.string(), ": ", error.message()));
}

Result<void> publish(const PullPlan& plan) {
  for (const PlannedFile& planned : plan.files) {
    fs::path up = "../..";
    for (const char c : planned.file.path)
      if (c == '/') up /= "..";
    CORBEL_TRY(make_link(up / "blobs" / planned.file.hash, plan.snapshot() / planned.file.path));
  }
  if (plan.request.revision == plan.commit) return {};
  const fs::path ref = plan.repository_folder / "refs" / plan.request.revision;
  CORBEL_TRY(make_folder(ref.parent_path()));
  return write_file_atomically(ref, std::as_bytes(std::span(plan.commit)));
}

}  // namespace

std::int64_t PullPlan::bytes() const {
  std::int64_t sum = 0;
  for (const PlannedFile& planned : files) sum += planned.file.bytes;
  return sum;
}

std::int64_t PullPlan::missing_bytes() const {
  std::int64_t sum = 0;
  for (const PlannedFile& planned : files) sum += planned.file.bytes - planned.present_bytes;
  return sum;
}

Result<PullPlan> plan_pull(const HubAccess& access, const PullRequest& request) {
  PullPlan plan{.request = request};
  if (!looks_like_repository(request.repository))
    return fail(Code::bad_request, cat(quote(request.repository), " names no repository; expected ORG/NAME"));
  if (!check_repository_path(request.revision))
    return fail(Code::bad_request, cat("the revision ", quote(request.revision), " is no branch, tag or commit"));
  if (request.cache.empty()) return fail(Code::bad_request, "there is no folder to download to; set HF_HOME or HOME");
  const std::atomic<bool> stop = false;
  HubClient hub(access, stop);
  CORBEL_ASSIGN(const RepositoryListing listing, hub.list(request.repository, request.revision));
  plan.commit = listing.commit;
  const std::string folder = hub_folder_name(request.repository);
  plan.repository_folder = request.cache / folder;
  plan.place = {plan.repository_folder / "blobs", request.cache / ".locks" / folder};
  auto chosen = choose_files(listing, request.choice);
  if (!chosen) return forward_failure(chosen, request.repository);
  for (RemoteFile& file : *chosen) {
    if (file.hash.empty() || file.bytes < 0) {
      CORBEL_ASSIGN(file, hub.describe(request.repository, plan.commit, file));
    }
    const std::int64_t present = bytes_present(plan.place, file);
    plan.files.push_back({std::move(file), present});
  }
  return plan;
}

Result<std::vector<PulledFile>> pull(const HubAccess& access, const PullPlan& plan, const PullWatcher& watcher) {
  CORBEL_TRY(make_folder(plan.place.blobs));
  CORBEL_TRY(make_folder(plan.place.locks));
  CORBEL_TRY(check_room(plan));
  CORBEL_ASSIGN(std::vector<PulledFile> pulled, Crew(access, plan).run(watcher));
  CORBEL_TRY(publish(plan));
  return pulled;
}

}  // namespace corbel
