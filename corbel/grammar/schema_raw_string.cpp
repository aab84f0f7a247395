#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/grammar/schema_compiler.h"

namespace corbel {
namespace {

/// Characters of a text whose length is bounded: a table has a state for each of them.
constexpr std::uint32_t kMaxCounted = 1000;

/// No text of `dfa` has `byte` any more.
void forbid(Dfa& dfa, char byte) {
  const std::uint8_t gone = dfa.class_of[static_cast<std::uint8_t>(byte)];
  // Its class may have other bytes: they move to one of their own.
  const bool alone = std::ranges::count(dfa.class_of, gone) == 1;
  if (!alone) {
    const std::uint32_t old = dfa.classes++;
    std::vector<std::uint32_t> next;
    for (std::uint32_t state = 0; state < dfa.states(); ++state) {
      const auto row = dfa.next.begin() + static_cast<std::ptrdiff_t>(state * old);
      next.insert(next.end(), row, row + old);
      next.push_back(Dfa::kDead);
    }
    dfa.next = std::move(next);
    dfa.class_of[static_cast<std::uint8_t>(byte)] = static_cast<std::uint8_t>(old);
    return;
  }
  for (std::uint32_t state = 0; state < dfa.states(); ++state) dfa.next[state * dfa.classes + gone] = Dfa::kDead;
}

}  // namespace

/// Texts of an enumeration that satisfy all of the branch and may stand raw.
Result<std::vector<std::string>> SchemaCompiler::enumerated_texts(const SchemaBranch& branch, std::string_view end) {
  std::vector<std::string> texts;
  const Json* candidates = nullptr;
  Json constant = Json::array();
  for (const SchemaKeywords& keywords : branch.all) {
    if (keywords.constant != nullptr) constant.push_back(*keywords.constant);
    if (candidates == nullptr) candidates = keywords.enumeration;
  }
  if (!constant.empty()) candidates = &constant;
  if (candidates == nullptr) return texts;
  for (const Json& candidate : *candidates) {
    if (!candidate.is_string()) continue;
    const std::string text = candidate.get<std::string>();
    bool good = text.find(end) == std::string::npos && std::ranges::all_of(text, [&](char c) {
                  return builder_.options().alphabet.has(static_cast<std::uint8_t>(c));
                });
    for (const SchemaKeywords& keywords : branch.all) {
      if (!good) break;
      CORBEL_ASSIGN(good, values_.holds(keywords, candidate));
    }
    if (good) texts.push_back(text);
  }
  return texts;
}

Result<SchemaCompiler::Id> SchemaCompiler::raw_string(const Schemas& schemas, std::string_view end) {
  CORBEL_CHECK(!end.empty(), "a raw string without an end");
  open_.clear();
  CORBEL_ASSIGN(std::vector<SchemaBranch> branches, branches_of(schemas));
  std::vector<Id> choices;
  for (SchemaBranch& branch : branches) {
    bool is_string = true;
    bool is_listed = false;
    for (SchemaKeywords& keywords : branch.all) {
      is_string = is_string && (keywords.kinds & kString) != 0;
      is_listed = is_listed || keywords.constant != nullptr || keywords.enumeration != nullptr;
      if (keywords.max_length != UINT32_MAX) keywords.max_length = std::min(keywords.max_length, kMaxCounted);
    }
    if (!is_string) continue;
    Dfa table;
    if (is_listed) {
      CORBEL_ASSIGN(std::vector<std::string> texts, enumerated_texts(branch, end));
      table = dfa_of_literals(std::move(texts));
    } else {
      CORBEL_ASSIGN(table, string_table(branch));
      forbid(table, '\\');
      forbid(table, end.front());
      tidy(table);
    }
    CORBEL_ASSIGN(const Id id, builder_.add_table(std::move(table)));
    choices.push_back(id);
  }
  return builder_.nodes().either(choices);
}

}  // namespace corbel
