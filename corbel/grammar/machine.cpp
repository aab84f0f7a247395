#include "corbel/grammar/machine.h"

namespace corbel {

Machine::Machine(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)), store_(*grammar_) {
  classify();
}

void Machine::classify() {
  const auto refine = [this](const auto& name_of) {
    std::array<int, 256 * 256> renamed;
    renamed.fill(-1);
    classes_ = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      int& name = renamed[class_of_[byte] * 256U + name_of(byte)];
      if (name < 0) name = static_cast<int>(classes_++);
      class_of_[byte] = static_cast<std::uint8_t>(name);
    }
  };
  refine([](unsigned byte) { return byte == '"' ? 1U : 0U; });
  for (const Dfa& dfa : grammar_->tables) {
    if (classes_ == 256) break;
    refine([&dfa](unsigned byte) { return static_cast<unsigned>(dfa.class_of[byte]); });
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_of_[class_of_[byte]] = static_cast<std::uint8_t>(byte);
    ++class_size_[class_of_[byte]];
  }
}

void Machine::make_row(Id state) {
  if (state >= row_of_.size()) row_of_.resize(store_.size(), kNoRow);
  row_of_[state] = static_cast<std::uint32_t>(rows_.size());
  rows_.resize(rows_.size() + classes_, kUnknown);
}

bool Machine::knows(Id state, std::uint8_t byte) {
  if (state >= row_of_.size() || row_of_[state] == kNoRow) make_row(state);
  return rows_[row_of_[state] + class_of_[byte]] != kUnknown;
}

/// Parts of the state whose steps derive() needs, as far as they are not known.
void Machine::open_parts(Id state, std::uint8_t byte) {
  const auto open = [&](Id part) {
    if (!knows(part, byte)) open_.push_back(part);
  };
  const Grammar::Node& node = store_.node(state);
  switch (node.kind) {
    case Grammar::Kind::rule: return open(store_.grammar().rules[node.a]);
    case Grammar::Kind::repeat: return open(node.a);
    case Grammar::Kind::concat:
      open(node.a);
      if (store_.nullable(node.a)) open(node.b);
      return;
    case Grammar::Kind::either:
      for (const Id choice : store_.children(state)) open(choice);
      return;
    default: return;
  }
}

/// Parts first, without recursion: what stands behind parts that may be empty is as deep as the text is long.
Machine::Id Machine::derive_into_row(Id state, std::uint8_t byte) {
  const std::size_t base = open_.size();
  open_.push_back(state);
  while (open_.size() > base) {
    const Id at = open_.back();
    const std::size_t size = open_.size();
    if (!knows(at, byte)) open_parts(at, byte);
    if (open_.size() > size) continue;
    open_.pop_back();
    if (knows(at, byte)) continue;
    const Id next = derive(at, byte);
    rows_[row_of_[at] + class_of_[byte]] = next;
  }
  return rows_[row_of_[state] + class_of_[byte]];
}

Machine::Id Machine::derive_text(const Grammar::Node& node, std::uint8_t byte) {
  if (byte == '"') return node.min == 0 ? kEpsilon : kNothing;
  if (node.max == 0) return kNothing;
  const std::uint32_t next = store_.grammar().tables[node.a].step(0, byte);
  if (next == Dfa::kDead) return kNothing;
  const std::uint32_t max = node.max == NodeStore::kUnbounded ? node.max : node.max - 1;
  const Id rest = store_.text(node.a, node.min == 0 ? 0 : node.min - 1, max);
  return store_.concat(store_.table(node.a, next), rest);
}

Machine::Id Machine::derive(Id state, std::uint8_t byte) {
  const Grammar::Node node = store_.node(state);  // a copy: the store may grow
  switch (node.kind) {
    case Grammar::Kind::table: return store_.table(node.a, store_.grammar().tables[node.a].step(node.b, byte));
    case Grammar::Kind::text: return derive_text(node, byte);
    case Grammar::Kind::rule: return step(store_.grammar().rules[node.a], byte);
    case Grammar::Kind::concat: {
      const Id first = store_.concat(step(node.a, byte), node.b);
      if (!store_.nullable(node.a)) return first;
      const std::array<Id, 2> choices{first, step(node.b, byte)};
      return store_.either(choices);
    }
    case Grammar::Kind::repeat: {
      const std::uint32_t max = node.max == NodeStore::kUnbounded ? node.max : node.max - 1;
      const Id rest = store_.repeat(node.a, node.min == 0 ? 0 : node.min - 1, max);
      return store_.concat(step(node.a, byte), rest);
    }
    case Grammar::Kind::either: {
      std::vector<Id> next;
      for (std::uint32_t i = 0; i < node.b; ++i) {
        const Id to = step(store_.grammar().children[node.a + i], byte);
        if (to != kNothing) next.push_back(to);
      }
      return store_.either(next);
    }
    default: return kNothing;
  }
}

bool Machine::must_end(Id state) {
  if (!may_end(state)) return false;
  for (std::uint32_t c = 0; c < classes_; ++c) {
    if (step(state, byte_of_[c]) != kNothing) return false;
  }
  return true;
}

int Machine::forced_byte(Id state) {
  if (may_end(state)) return -1;
  int forced = -1;
  for (std::uint32_t c = 0; c < classes_; ++c) {
    if (step(state, byte_of_[c]) == kNothing) continue;
    if (forced >= 0 || class_size_[c] != 1) return -1;
    forced = byte_of_[c];
  }
  return forced;
}

std::size_t Machine::bytes_used() const {
  const std::size_t nodes = store_.size() - grammar_->nodes.size();
  return nodes * (sizeof(Grammar::Node) + 12) + rows_.size() * 4 +
         (store_.grammar().children.size() - grammar_->children.size()) * 4;
}

void Machine::reset() {
  store_.shrink(static_cast<std::uint32_t>(grammar_->nodes.size()),
                static_cast<std::uint32_t>(grammar_->children.size()));
  row_of_ = {};
  rows_ = {};
}

}  // namespace corbel
