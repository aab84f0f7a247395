#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "corbel/grammar/node_store.h"

namespace corbel {

/// A grammar in motion: a state is a node, what may still be written. States are made when they are first reached and
/// kept; one byte from a state that was there before is a look into a row. One thread at a time.
class Machine {
 public:
  using Id = NodeStore::Id;
  static constexpr Id kNothing = NodeStore::kNothing;
  static constexpr Id kEpsilon = NodeStore::kEpsilon;

  explicit Machine(std::shared_ptr<const Grammar> grammar);

  Id start() const { return grammar_->start; }
  /// What may follow `byte`; kNothing when it may not come.
  Id step(Id state, std::uint8_t byte) {
    if (state >= row_of_.size() || row_of_[state] == kNoRow) make_row(state);
    const std::uint32_t next = rows_[row_of_[state] + class_of_[byte]];
    return next != kUnknown ? next : derive_into_row(state, byte);
  }
  bool may_end(Id state) const { return store_.nullable(state); }
  const Grammar::Node& node(Id state) const { return store_.node(state); }
  std::span<const Id> choices(Id state) const { return store_.children(state); }
  Id concat(Id first, Id second) { return store_.concat(first, second); }
  Id text(std::uint32_t table, std::uint32_t min, std::uint32_t max) { return store_.text(table, min, max); }

  /// Nothing may follow.
  bool must_end(Id state);
  /// The only byte that may follow and end nothing else, or -1.
  int forced_byte(Id state);

  /// The grammar's nodes, and those of states made since behind them.
  NodeStore take_nodes() && { return std::move(store_); }

  /// Memory of states made since the start, and forgetting them: ids made before are void then.
  std::size_t bytes_used() const;
  void reset();

 private:
  static constexpr std::uint32_t kNoRow = UINT32_MAX;
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  void classify();
  void make_row(Id state);
  Id derive_into_row(Id state, std::uint8_t byte);
  bool knows(Id state, std::uint8_t byte);
  void open_parts(Id state, std::uint8_t byte);
  Id derive(Id state, std::uint8_t byte);
  Id derive_text(const Grammar::Node& node, std::uint8_t byte);

  std::shared_ptr<const Grammar> grammar_;
  NodeStore store_;
  std::array<std::uint8_t, 256> class_of_{};
  std::array<std::uint8_t, 256> byte_of_{};  // one of each class
  std::array<std::uint16_t, 256> class_size_{};
  std::uint32_t classes_ = 1;
  std::vector<std::uint32_t> row_of_;
  std::vector<std::uint32_t> rows_;
  std::vector<Id> open_;  // scratch of derive_into_row()
};

}  // namespace corbel
