#include "apps/hub_setup.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <iostream>

#include "apps/environment.h"
#include "apps/number_text.h"
#include "apps/terminal.h"
#include "corbel/base/bytes_text.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

namespace fs = std::filesystem;

bool is_set(const char* name) {
  std::string value = environment(name);
  std::ranges::transform(value, value.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return value == "1" || value == "true" || value == "yes" || value == "on";
}

fs::path token_file() {
  if (const std::string path = environment("HF_TOKEN_PATH"); !path.empty()) return path;
  if (const std::string home = hf_home(); !home.empty()) return fs::path(home) / "token";
  if (const std::string home = environment("HOME"); !home.empty()) return fs::path(home) / ".cache/huggingface/token";
  return {};
}

/// Without the blanks around it; never in a message.
Result<std::string> read_token() {
  std::string token = environment("HF_TOKEN");
  std::error_code error;
  if (const fs::path file = token_file(); token.empty() && fs::exists(file, error)) {
    constexpr std::int64_t kMostBytes = 4096;
    CORBEL_ASSIGN(token, read_text_file(file, kMostBytes));
  }
  constexpr const char* kBlanks = " \t\r\n";
  token.erase(0, std::min(token.find_first_not_of(kBlanks), token.size()));
  token.erase(token.find_last_not_of(kBlanks) + 1);
  return token;
}

}  // namespace

Result<HubAccess> hub_access() {
  if (is_set("HF_HUB_OFFLINE"))
    return fail(Code::bad_request, "HF_HUB_OFFLINE is set; unset it to download from the hub");
  HubAccess access;
  if (std::string endpoint = environment("HF_ENDPOINT"); !endpoint.empty()) access.endpoint = std::move(endpoint);
  CORBEL_ASSIGN(access.token, read_token());
  access.user_agent = "corbel/" CORBEL_VERSION;
  if (const std::string text = environment("HF_HUB_DOWNLOAD_TIMEOUT"); !text.empty()) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || seconds < 1)
      return fail(Code::bad_request, cat("HF_HUB_DOWNLOAD_TIMEOUT is ", quote(text), "; expected whole seconds"));
    access.times.stall = std::chrono::seconds(seconds);
  }
  access.cancel = &interrupted();
  CORBEL_TRY(check_access(access));
  return access;
}

PullProgress::PullProgress(std::int64_t all_bytes) : all_bytes_(std::max<std::int64_t>(all_bytes, 1)) {}

double PullProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

/// Over about the last five seconds.
double PullProgress::rate(std::int64_t fetched_bytes, double now) {
  constexpr double kMemory = 5.0;
  const double passed = now - rate_time_;
  if (passed < 0.1) return rate_;
  const double fresh = static_cast<double>(fetched_bytes - rate_bytes_) / passed;
  const double weight = std::min(1.0, rate_time_ == 0 ? 1.0 : passed / kMemory);
  rate_ += weight * (fresh - rate_);
  rate_time_ = now;
  rate_bytes_ = fetched_bytes;
  return rate_;
}

void PullProgress::show(const PullFigures& figures) {
  if (figures.waiting > 0 && !told_waiting_) {
    finish();
    print_error_text("waiting for another process that downloads the same\n");
    told_waiting_ = true;
  }
  const std::int64_t have = figures.have_bytes;
  const std::int64_t fetched = figures.fetched_bytes;
  const double speed = rate(fetched, seconds());
  const std::int64_t tenth = have * 10 / all_bytes_;
  if (!errors_are_terminal() && (tenth <= shown_tenth_ || fetched == 0)) return;
  shown_tenth_ = tenth;
  std::string text = cat(bytes_text(have), " of ", bytes_text(all_bytes_), " (", have * 100 / all_bytes_, "%)");
  if (speed > 0) text += cat("  ", bytes_text(static_cast<std::int64_t>(speed)), "/s");
  if (speed > 0 && have < all_bytes_)
    text += cat("  ", duration_text(static_cast<double>(all_bytes_ - have) / speed), " left");
  if (!errors_are_terminal()) return print_error_text(text + "\n");
  print_error_text(cat("\r\033[K", text));
  line_open_ = true;
}

void PullProgress::finish() {
  if (line_open_) print_error_text("\n");
  line_open_ = false;
}

std::string pull_summary(const PullPlan& plan) {
  const std::int64_t missing = plan.missing_bytes();
  return cat(plan.files.size(), plan.files.size() == 1 ? " file, " : " files, ", bytes_text(plan.bytes()), "; ",
             missing == 0 ? "nothing" : bytes_text(missing), " to download");
}

Result<std::vector<PulledFile>> pull_with_progress(const HubAccess& access, const PullPlan& plan) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files is then an error of write()
  PullProgress progress(plan.bytes());
  auto pulled = pull(access, plan, [&](const PullFigures& figures) { progress.show(figures); });
  progress.finish();
  return pulled;
}

Result<void> offer_pull(const std::string& model) {
  const ModelSearch search = model_search();
  const std::string wanted = model.empty() ? search.hf_model : model;
  const std::string repository = repository_of(split_profile(wanted).path.string());
  if (!input_is_terminal() || !errors_are_terminal() || !looks_like_repository(repository)) return {};
  if (resolve_model_path(wanted, search)) return {};
  catch_interrupts();
  CORBEL_ASSIGN(const HubAccess access, hub_access());
  CORBEL_ASSIGN(const PullPlan plan, plan_pull(access, {.repository = repository, .cache = hub_cache_folder(search)}));
  print_error_text(
      cat(repository, " is not here. Download it from ", access.endpoint, " (", pull_summary(plan), ")? [Y/n] "));
  std::string answer;
  std::getline(std::cin, answer);
  if (interrupted() || !std::cin) return fail(Code::cancelled, "interrupted");
  if (!answer.empty() && answer[0] != 'y' && answer[0] != 'Y') return {};
  const auto pulled = pull_with_progress(access, plan);
  return pulled ? Result<void>() : forward_failure(pulled);
}

}  // namespace corbel::app
