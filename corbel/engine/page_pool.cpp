#include "corbel/engine/page_pool.h"

#include "corbel/ops/step_inputs.h"

namespace corbel {

std::int64_t pages_of_tokens(std::int64_t tokens) noexcept { return (tokens + kPageTokens - 1) / kPageTokens; }

PagePool::PagePool(int groups, std::int64_t pages_per_group) : total_(pages_per_group) {
  CORBEL_CHECK(groups > 0 && pages_per_group >= 0, "a pool of ", groups, " groups of ", pages_per_group, " pages");
  users_.assign(static_cast<std::size_t>(groups), std::vector<std::int32_t>(static_cast<std::size_t>(total_)));
  std::vector<std::int32_t> pages(static_cast<std::size_t>(total_));
  for (std::int64_t i = 0; i < total_; ++i) pages[i] = static_cast<std::int32_t>(total_ - 1 - i);
  free_.assign(static_cast<std::size_t>(groups), pages);
}

Result<void> PagePool::grow(SequencePages& sequence, std::int64_t tokens) {
  sequence.groups.resize(free_.size());
  const std::int64_t wanted = pages_of_tokens(tokens);
  for (std::size_t group = 0; group < free_.size(); ++group) {
    const std::int64_t missing = wanted - static_cast<std::int64_t>(sequence.groups[group].size());
    if (missing > static_cast<std::int64_t>(free_[group].size())) {
      return fail(Code::no_memory, cat("cache pages: ", tokens, " tokens need ", missing, " more pages of 64 tokens; ",
                                       free_[group].size(), " of ", total_, " are free"));
    }
  }
  for (std::size_t group = 0; group < free_.size(); ++group) {
    std::vector<std::int32_t>& pages = sequence.groups[group];
    while (static_cast<std::int64_t>(pages.size()) < wanted) {
      const std::int32_t page = free_[group].back();
      free_[group].pop_back();
      CORBEL_CHECK(users_[group][page] == 0, "page ", page, " was free and had ", users_[group][page], " users");
      users_[group][page] = 1;
      pages.push_back(page);
    }
  }
  return {};
}

bool PagePool::has_room(const SequencePages& sequence, std::int64_t tokens) const noexcept {
  for (std::size_t group = 0; group < free_.size(); ++group) {
    const std::int64_t held = group < sequence.groups.size() ? std::ssize(sequence.groups[group]) : 0;
    if (pages_of_tokens(tokens) - held > std::ssize(free_[group])) return false;
  }
  return true;
}

void PagePool::shrink(SequencePages& sequence, std::int64_t tokens) noexcept {
  const std::int64_t kept = pages_of_tokens(tokens);
  for (std::size_t group = 0; group < sequence.groups.size(); ++group) {
    std::vector<std::int32_t>& pages = sequence.groups[group];
    while (static_cast<std::int64_t>(pages.size()) > kept) {
      release(static_cast<int>(group), pages.back());
      pages.pop_back();
    }
  }
}

void PagePool::retain(int group, std::int32_t page) noexcept {
  CORBEL_CHECK(users_[group][page] > 0, "page ", page, " is free");
  ++users_[group][page];
}

void PagePool::release(int group, std::int32_t page) noexcept {
  CORBEL_CHECK(users_[group][page] > 0, "page ", page, " freed twice");
  if (--users_[group][page] == 0) free_[group].push_back(page);
}

SequencePages PagePool::share(const SequencePages& sequence, std::int64_t tokens) {
  CORBEL_CHECK(tokens % kPageTokens == 0, tokens, " tokens are not whole pages");
  SequencePages sharing;
  sharing.groups.resize(sequence.groups.size());
  for (std::size_t group = 0; group < sequence.groups.size(); ++group) {
    const std::vector<std::int32_t>& pages = sequence.groups[group];
    CORBEL_CHECK(tokens / kPageTokens <= static_cast<std::int64_t>(pages.size()), "sharing more pages than there are");
    sharing.groups[group].assign(pages.begin(), pages.begin() + tokens / kPageTokens);
    for (const std::int32_t page : sharing.groups[group]) ++users_[group][page];
  }
  return sharing;
}

}  // namespace corbel
