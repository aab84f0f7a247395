#include "corbel/server/model_shelf.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <utility>

#include "corbel/base/quote.h"
#include "corbel/engine/memory_plan.h"

namespace corbel {

struct ModelShelf::Entry {
  ShelvedModel source;
  std::unique_ptr<OpenedModel> opened;
  std::int64_t bytes = 0;  // that it takes, or is expected to
  std::int64_t leases = 0;
  std::uint64_t used = 0;  // when last, by the shelf's count
  std::int64_t times_opened = 0;
  bool leaving = false;  // takes no more requests until it was closed
  struct Waiting {
    std::uint64_t number = 0;
    Then then;
  };
  std::deque<Waiting> waiting;

  bool is_called(std::string_view name) const {
    return source.name == name || std::ranges::find(source.aliases, name) != source.aliases.end();
  }
};

struct ModelShelf::State {
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<Entry>> entries;
  std::int64_t budget = 0;
  std::uint64_t count = 0;  // of uses and of who waits
  bool stopping = false;

  Entry* find(std::string_view name) const {
    if (name.empty()) return entries.front().get();
    const auto found = std::ranges::find_if(entries, [&](const auto& entry) { return entry->is_called(name); });
    return found == entries.end() ? nullptr : found->get();
  }
  /// Whose request has waited longest; null: nobody's.
  Entry* next() const {
    Entry* oldest = nullptr;
    for (const auto& entry : entries) {
      if (entry->waiting.empty()) continue;
      if (oldest == nullptr || entry->waiting.front().number < oldest->waiting.front().number) oldest = entry.get();
    }
    return oldest;
  }
  std::int64_t open_bytes() const {
    std::int64_t sum = 0;
    for (const auto& entry : entries) sum += entry->opened != nullptr ? entry->bytes : 0;
    return sum;
  }
  /// The open model not used for longest; `idle`: among those that nobody holds.
  Entry* oldest(bool idle) const {
    Entry* found = nullptr;
    for (const auto& entry : entries) {
      if (entry->opened == nullptr || (idle && entry->leases > 0)) continue;
      if (found == nullptr || entry->used < found->used) found = entry.get();
    }
    return found;
  }
  bool has_room(const Entry& entry, std::int64_t bytes) const {
    const std::int64_t others = open_bytes() - (entry.opened != nullptr ? entry.bytes : 0);
    return budget == 0 || others + bytes <= budget;
  }
};

namespace {

Failure stopped() { return fail(Code::cancelled, "the server is shutting down"); }

}  // namespace

ModelLease ModelShelf::lease(const std::shared_ptr<State>& state, Entry& entry) {
  ++entry.leases;
  return {&entry.opened->served, [state, &entry](const ServedModel*) {
            const std::lock_guard lock(state->mutex);
            if (--entry.leases == 0) state->changed.notify_all();
          }};
}

ModelShelf::ModelShelf(std::vector<ShelvedModel> sources, std::int64_t budget_bytes)
    : state_(std::make_shared<State>()) {
  CORBEL_CHECK(!sources.empty(), "a shelf without models");
  state_->budget = budget_bytes;
  for (ShelvedModel& source : sources) {
    auto entry = std::make_unique<Entry>();
    entry->bytes = source.expected_bytes;
    entry->source = std::move(source);
    state_->entries.push_back(std::move(entry));
  }
  thread_ = std::thread([this] { run(); });
}

ModelShelf::~ModelShelf() {
  stop();
  thread_.join();
  // Answers that are still under way end with their engine, and give their leases back while it goes.
  std::vector<std::unique_ptr<OpenedModel>> opened;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& entry : state_->entries) opened.push_back(std::move(entry->opened));
  }
}

void ModelShelf::take(std::string_view name, Then then) {
  std::unique_lock lock(state_->mutex);
  Entry* const entry = state_->find(name);
  if (entry == nullptr) {
    lock.unlock();
    return then(fail(Code::bad_request, cat("there is no model ", quote(name), " here; GET /v1/models lists them")));
  }
  if (state_->stopping) {
    lock.unlock();
    return then(stopped());
  }
  if (entry->opened == nullptr || entry->leaving) {
    entry->waiting.push_back({++state_->count, std::move(then)});
    state_->changed.notify_all();
    return;
  }
  entry->used = ++state_->count;
  ModelLease taken = lease(state_, *entry);
  lock.unlock();
  then(std::move(taken));
}

Result<ModelLease> ModelShelf::wait_for(std::string_view name) {
  const auto promise = std::make_shared<std::promise<Result<ModelLease>>>();
  take(name, [promise](Result<ModelLease> model) { promise->set_value(std::move(model)); });
  return promise->get_future().get();
}

bool ModelShelf::has(std::string_view name) const {
  const std::lock_guard lock(state_->mutex);
  return state_->find(name) != nullptr;
}

std::vector<ModelShelf::Listed> ModelShelf::list() const {
  std::vector<Listed> listed;
  const std::lock_guard lock(state_->mutex);
  for (const auto& entry : state_->entries) {
    listed.push_back({entry->source.name, entry->source.aliases,
                      entry->opened != nullptr ? lease(state_, *entry) : nullptr, entry->times_opened});
  }
  return listed;
}

std::int64_t ModelShelf::budget_bytes() const noexcept { return state_->budget; }

void ModelShelf::stop() {
  std::vector<Then> refused;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    for (const auto& entry : state_->entries) {
      for (Entry::Waiting& waiting : entry->waiting) refused.push_back(std::move(waiting.then));
      entry->waiting.clear();
      if (entry->opened != nullptr) entry->opened->served.engine->cancel_all();
    }
    state_->changed.notify_all();
  }
  for (const Then& then : refused) then(stopped());
}

void ModelShelf::close(std::unique_lock<std::mutex>& lock, Entry& entry) {
  std::unique_ptr<OpenedModel> closing = std::move(entry.opened);
  entry.leaving = false;
  lock.unlock();
  closing.reset();  // joins the engine's thread, which may just be giving the last lease back
  lock.lock();
}

void ModelShelf::deliver(std::unique_lock<std::mutex>& lock, Entry& entry, const Error* error) {
  std::vector<std::pair<Then, ModelLease>> ready;
  entry.leaving = false;
  while (!entry.waiting.empty()) {
    entry.used = ++state_->count;
    ready.emplace_back(std::move(entry.waiting.front().then), error == nullptr ? lease(state_, entry) : nullptr);
    entry.waiting.pop_front();
  }
  lock.unlock();
  for (auto& [then, model] : ready) {
    if (error != nullptr) {
      then(Failure{*error});
    } else {
      then(std::move(model));
    }
  }
  ready.clear();  // what they held is given back: not under the lock
  lock.lock();
}

/// Closes the model not used for longest among those that nobody holds; where all are held, waits for a change.
/// False when none is open.
bool ModelShelf::close_one(std::unique_lock<std::mutex>& lock) {
  if (Entry* const idle = state_->oldest(true); idle != nullptr) {
    close(lock, *idle);
    return true;
  }
  Entry* const busy = state_->oldest(false);
  if (busy == nullptr) return false;
  busy->leaving = true;
  state_->changed.wait(lock);
  return true;
}

/// Models that nobody holds make room; those that are held stay.
Result<void> ModelShelf::reserve(State& state, Entry& entry, std::int64_t bytes) {
  std::unique_lock lock(state.mutex);
  while (!state.has_room(entry, entry.bytes + bytes)) {
    Entry* const idle = state.oldest(true);
    if (idle == nullptr || idle == &entry) {
      return fail(Code::no_memory, cat("the model ", quote(entry.source.name), " needs ", bytes_text(bytes),
                                       " of memory more; the open models take ", bytes_text(state.open_bytes()),
                                       " and may take ", bytes_text(state.budget), " (--max-model-bytes)"));
    }
    close(lock, *idle);
  }
  entry.bytes += bytes;
  return {};
}

void ModelShelf::open(std::unique_lock<std::mutex>& lock, Entry& entry) {
  while (!state_->stopping && !state_->has_room(entry, entry.bytes) && close_one(lock)) continue;
  if (state_->stopping) return;
  lock.unlock();
  auto opened = entry.source.open();
  lock.lock();
  // The machine may have less room than the budget.
  if (!opened && opened.error().code == Code::no_memory && close_one(lock)) return;
  if (opened) {
    entry.bytes = (*opened)->served.memory_bytes;
    if (state_->budget > 0 && entry.bytes > state_->budget) {
      opened = fail(Code::no_memory, cat("the model ", quote(entry.source.name), " takes ", bytes_text(entry.bytes),
                                         " of memory; all models together may take ", bytes_text(state_->budget)));
    }
  }
  if (!opened) {
    const Error error = opened.error();
    return deliver(lock, entry, &error);
  }
  // It may have turned out larger than expected.
  while (!state_->stopping && !state_->has_room(entry, entry.bytes) && close_one(lock)) continue;
  if (state_->stopping) return;
  entry.opened = *std::move(opened);
  entry.opened->reserve = [state = state_, &entry](std::int64_t bytes) { return reserve(*state, entry, bytes); };
  ++entry.times_opened;
  deliver(lock, entry, nullptr);
}

void ModelShelf::run() {
  std::unique_lock lock(state_->mutex);
  while (!state_->stopping) {
    Entry* const wanted = state_->next();
    if (wanted == nullptr) {
      state_->changed.wait(lock);
    } else if (wanted->opened != nullptr) {  // it was to leave, and there is room after all
      deliver(lock, *wanted, nullptr);
    } else {
      open(lock, *wanted);
    }
  }
}

}  // namespace corbel
