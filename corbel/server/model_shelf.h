#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "corbel/server/served_model.h"

namespace corbel {

/// A model that requests may name, and how it is opened.
struct ShelvedModel {
  std::string name;
  std::vector<std::string> aliases;
  std::int64_t expected_bytes = 0;                             // of memory, before it was ever opened; 0: nobody knows
  std::function<Result<std::unique_ptr<OpenedModel>>()> open;  // on the shelf's thread
};

/// The models of one server. A model is opened when it is first asked for and closed when another one needs its room:
/// the one not used for longest among those that nobody holds. Where all are held, the one not used for longest gets
/// no new requests until it can be closed; they wait. Any thread.
class ModelShelf {
 public:
  /// The first source is the default. `budget_bytes` is for all models that are open; 0: whatever they take.
  ModelShelf(std::vector<ShelvedModel> sources, std::int64_t budget_bytes);
  ModelShelf(const ModelShelf&) = delete;
  ModelShelf& operator=(const ModelShelf&) = delete;
  ~ModelShelf();

  using Then = std::function<void(Result<ModelLease> model)>;
  /// Calls `then` at once when the model is open, else later on the shelf's thread. Empty name: the default. A name
  /// that is not there is Code::bad_request, a model larger than the budget Code::no_memory.
  void take(std::string_view name, Then then);
  /// The same, waiting. Not on the shelf's thread.
  Result<ModelLease> wait_for(std::string_view name);

  bool has(std::string_view name) const;
  struct Listed {
    std::string name;
    std::vector<std::string> aliases;
    ModelLease model;  // null: not open
    std::int64_t times_opened = 0;
  };
  /// In the order of the sources. Does not count as use.
  std::vector<Listed> list() const;
  std::int64_t budget_bytes() const noexcept;

  /// Who waits is refused, and so is who comes; answers under way are cancelled. Models stay open until the shelf goes.
  void stop();

 private:
  struct Entry;
  struct State;
  static ModelLease lease(const std::shared_ptr<State>& state, Entry& entry);
  void run();
  static void close(std::unique_lock<std::mutex>& lock, Entry& entry);
  static Result<void> reserve(State& state, Entry& entry, std::int64_t bytes);
  void deliver(std::unique_lock<std::mutex>& lock, Entry& entry, const Error* error);
  bool close_one(std::unique_lock<std::mutex>& lock);
  void open(std::unique_lock<std::mutex>& lock, Entry& entry);

  std::shared_ptr<State> state_;  // leases outlive the shelf, but not the model's answers
  std::thread thread_;
};

}  // namespace corbel
