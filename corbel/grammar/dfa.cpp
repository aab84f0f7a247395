#include "corbel/grammar/dfa.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace corbel {
namespace {

constexpr std::uint32_t kMinimizedStates = 256;  // Moore's rounds are quadratic; larger tables stay as they are

std::vector<std::uint8_t> live_states(const Dfa& dfa) {
  const std::uint32_t states = dfa.states();
  std::vector<std::vector<std::uint32_t>> before(states);
  for (std::uint32_t s = 0; s < states; ++s) {
    for (std::uint32_t c = 0; c < dfa.classes; ++c) {
      const std::uint32_t to = dfa.next[s * dfa.classes + c];
      if (to != Dfa::kDead && (before[to].empty() || before[to].back() != s)) before[to].push_back(s);
    }
  }
  std::vector<std::uint8_t> live(dfa.accepts);
  std::vector<std::uint32_t> open;
  for (std::uint32_t s = 0; s < states; ++s) {
    if (live[s] != 0) open.push_back(s);
  }
  while (!open.empty()) {
    const std::uint32_t s = open.back();
    open.pop_back();
    for (const std::uint32_t from : before[s]) {
      if (live[from] != 0) continue;
      live[from] = 1;
      open.push_back(from);
    }
  }
  return live;
}

/// States by group, 0 first in order of appearance; equal states share a group.
std::vector<std::uint32_t> equal_states(const Dfa& dfa) {
  const std::uint32_t states = dfa.states();
  std::vector<std::uint32_t> group(dfa.accepts.begin(), dfa.accepts.end());
  std::size_t groups = 0;
  for (;;) {
    std::map<std::vector<std::uint32_t>, std::uint32_t> seen;
    std::vector<std::uint32_t> finer(states);
    for (std::uint32_t s = 0; s < states; ++s) {
      std::vector<std::uint32_t> key{group[s]};
      for (std::uint32_t c = 0; c < dfa.classes; ++c) {
        const std::uint32_t to = dfa.next[s * dfa.classes + c];
        key.push_back(to == Dfa::kDead ? Dfa::kDead : group[to]);
      }
      finer[s] = seen.emplace(std::move(key), static_cast<std::uint32_t>(seen.size())).first->second;
    }
    group = std::move(finer);
    if (seen.size() == groups) return group;
    groups = seen.size();
  }
}

/// Keeps one state of each group; kDead is the group of states that go.
void keep_groups(Dfa& dfa, const std::vector<std::uint32_t>& group) {
  std::vector<std::uint32_t> renamed(group.size() + 1, Dfa::kDead);  // group -> new state, in order of reaching
  std::vector<std::uint32_t> kept;
  const auto reach = [&](std::uint32_t state) {
    if (state == Dfa::kDead || group[state] == Dfa::kDead) return Dfa::kDead;
    std::uint32_t& name = renamed[group[state]];
    if (name == Dfa::kDead) {
      name = static_cast<std::uint32_t>(kept.size());
      kept.push_back(state);
    }
    return name;
  };
  Dfa out;
  out.class_of = dfa.class_of;
  out.classes = dfa.classes;
  if (dfa.states() > 0) reach(0);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    out.accepts.push_back(dfa.accepts[kept[i]]);
    for (std::uint32_t c = 0; c < dfa.classes; ++c) out.next.push_back(reach(dfa.next[kept[i] * dfa.classes + c]));
  }
  dfa = std::move(out);
}

void join_classes(Dfa& dfa) {
  std::map<std::vector<std::uint32_t>, std::uint32_t> columns;
  std::vector<std::uint32_t> renamed(dfa.classes);
  for (std::uint32_t c = 0; c < dfa.classes; ++c) {
    std::vector<std::uint32_t> column(dfa.states());
    for (std::uint32_t s = 0; s < dfa.states(); ++s) column[s] = dfa.next[s * dfa.classes + c];
    renamed[c] = columns.emplace(std::move(column), static_cast<std::uint32_t>(columns.size())).first->second;
  }
  const auto classes = static_cast<std::uint32_t>(columns.size());
  std::vector<std::uint32_t> next(static_cast<std::size_t>(dfa.states()) * classes);
  for (const auto& [column, c] : columns) {
    for (std::uint32_t s = 0; s < dfa.states(); ++s) next[s * classes + c] = column[s];
  }
  for (std::uint8_t& c : dfa.class_of) c = static_cast<std::uint8_t>(renamed[c]);
  dfa.classes = classes;
  dfa.next = std::move(next);
}

}  // namespace

bool Dfa::has_exit(std::uint32_t state) const {
  const auto row = next.begin() + static_cast<std::ptrdiff_t>(state) * classes;
  return std::any_of(row, row + classes, [](std::uint32_t to) { return to != kDead; });
}

bool Dfa::matches(std::string_view text) const {
  std::uint32_t state = empty() ? kDead : 0;
  for (const char c : text) {
    if (state == kDead) return false;
    state = step(state, static_cast<std::uint8_t>(c));
  }
  return state != kDead && accepts[state] != 0;
}

std::uint64_t Dfa::hash() const {
  std::uint64_t value = 0xCBF29CE484222325ULL;
  const auto add = [&value](std::uint64_t word) { value = (value ^ word) * 0x100000001B3ULL; };
  for (const std::uint8_t c : class_of) add(c);
  for (const std::uint32_t to : next) add(to);
  for (const std::uint8_t accept : accepts) add(accept);
  return value;
}

void tidy(Dfa& dfa) {
  const std::vector<std::uint8_t> live = live_states(dfa);
  std::vector<std::uint32_t> group(dfa.states());
  for (std::uint32_t s = 0; s < dfa.states(); ++s) group[s] = live[s] != 0 ? s : Dfa::kDead;
  keep_groups(dfa, group);
  if (dfa.empty()) {
    dfa = Dfa{};
    return;
  }
  join_classes(dfa);
  if (dfa.states() <= kMinimizedStates) {
    keep_groups(dfa, equal_states(dfa));
    join_classes(dfa);
  }
}

Dfa dfa_of_literals(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  Dfa dfa;
  if (texts.empty()) return dfa;
  std::array<bool, 256> used{};
  for (const std::string& text : texts) {
    for (const char c : text) used[static_cast<std::uint8_t>(c)] = true;
  }
  // Class 0 is of bytes that no text has; with all 256 in use it is left out.
  const bool all = std::all_of(used.begin(), used.end(), [](bool u) { return u; });
  dfa.classes = all ? 0 : 1;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    dfa.class_of[byte] = used[byte] ? static_cast<std::uint8_t>(dfa.classes++) : 0;
  }
  const auto add_state = [&dfa] {
    dfa.next.resize(dfa.next.size() + dfa.classes, Dfa::kDead);
    dfa.accepts.push_back(0);
    return dfa.states() - 1;
  };
  add_state();
  for (const std::string& text : texts) {
    std::uint32_t state = 0;
    for (const char c : text) {
      const std::size_t at = state * dfa.classes + dfa.class_of[static_cast<std::uint8_t>(c)];
      if (dfa.next[at] == Dfa::kDead) {
        const std::uint32_t fresh = add_state();
        dfa.next[at] = fresh;
      }
      state = dfa.next[at];
    }
    dfa.accepts[state] = 1;
  }
  return dfa;
}

}  // namespace corbel
