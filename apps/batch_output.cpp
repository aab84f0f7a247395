#include "apps/batch_output.h"

namespace corbel::app {

Result<BatchOutput> BatchOutput::open(const std::string& path, const std::string& key, std::int64_t requests) {
  BatchOutput output;
  CORBEL_ASSIGN(output.target_, write_target(path));
  output.part_ = output.target_.string() + ".part";
  CORBEL_ASSIGN(output.file_, OutputFile::open(output.part_, OutputFile::Start::as_it_is));
  CORBEL_ASSIGN(const std::int64_t size, output.file_.size());
  std::string text(static_cast<std::size_t>(size), '\0');
  CORBEL_TRY(output.file_.read(0, std::as_writable_bytes(std::span(text))));
  const std::string head = cat("corbel batch ", key, "\n");
  output.head_ = std::ssize(head);
  if (!text.starts_with(head)) {
    constexpr std::string_view kOurs = "corbel batch ";
    if (!text.starts_with(kOurs) && !kOurs.starts_with(text))
      return fail(Code::bad_file, cat("cannot write ", path, ": ", output.part_.string(),
                                      ", which would hold its answers on the way, is some other file; move it away"));
    output.starts_over_ = text.size() > kOurs.size();
    CORBEL_TRY(output.file_.resize(0));
    CORBEL_TRY(output.append(head));
    return output;
  }
  output.end_ = output.head_;
  for (std::size_t end = text.find('\n', head.size()); end != std::string::npos && output.done_ < requests;
       end = text.find('\n', end + 1)) {
    output.end_ = static_cast<std::int64_t>(end) + 1;
    ++output.done_;
  }
  CORBEL_TRY(output.file_.resize(output.end_));  // half a line
  return output;
}

Result<void> BatchOutput::put(std::int64_t index, std::string line) {
  early_[index] = std::move(line);
  for (auto next = early_.find(done_); next != early_.end(); next = early_.find(done_)) {
    CORBEL_TRY(append(next->second));
    early_.erase(next);
    ++done_;
  }
  return {};
}

Result<void> BatchOutput::finish() {
  std::string text(static_cast<std::size_t>(end_ - head_), '\0');
  CORBEL_TRY(file_.read(head_, std::as_writable_bytes(std::span(text))));
  CORBEL_ASSIGN(OutputFile whole, OutputFile::open(target_.string() + ".new", OutputFile::Start::empty));
  if (const auto written = whole.write(0, std::as_bytes(std::span(text))); !written) {
    whole.remove();
    return forward_failure(written);
  }
  CORBEL_TRY(whole.rename_to(target_));
  file_.remove();
  return {};
}

Result<void> BatchOutput::append(const std::string& text) {
  CORBEL_TRY(file_.write(end_, std::as_bytes(std::span(text))));
  end_ += std::ssize(text);
  return {};
}

Result<void> check_batch_target(const std::string& output, const std::string& file) {
  std::error_code ignored;
  for (const std::string& target : {output, output + ".part", output + ".new"})
    if (std::filesystem::equivalent(target, file, ignored))
      return fail(Code::bad_request, cat("--output ", output, " would write over the requests in ", file));
  return {};
}

}  // namespace corbel::app
