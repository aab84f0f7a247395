#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/result.h"
#include "corbel/grammar/byte_set.h"
#include "corbel/grammar/dfa.h"

/// The room of structured output: what a model may write is described (a JSON schema, any JSON, a regex, a list of
/// choices, tool calls), compiled once, and then tells at every step which tokens may come next.
///
///   compile_grammar(source, options) -> Grammar      refuses what it cannot honour, before anything runs
///   TokenVocabulary                                  the bytes of a tokenizer's tokens, as a trie (token_vocabulary.h)
///   TokenMasker                                      masks, acceptance, rollback, forced bytes (token_masker.h)
///
/// There is one engine: a pushdown automaton over bytes. Regular parts (strings, numbers, keys, regexes) are tables;
/// rules call each other on a stack. No threads, no model, no tokenizer: plain bytes.
namespace corbel {

enum class Whitespace {
  compact,   // none between the tokens of JSON
  flexible,  // after , : [ { and before ] }: nothing, one space, or a line break with at most 40 spaces or 10 tabs
};

enum class UndeclaredProperties {
  as_schema_says,  // allowed unless additionalProperties forbids or constrains them
  when_asked_for,  // only where the schema has additionalProperties, patternProperties or minProperties, or no
                   // properties
};

/// Stands in front of a special token's spelling in the bytes that token writes (TokenVocabulary): no UTF-8 has it, so
/// a special token is never part of a text, and only what is `marked` asks for it.
inline constexpr char kSpecialByte = '\xFF';

struct GrammarOptions {
  Whitespace whitespace = Whitespace::compact;
  UndeclaredProperties undeclared = UndeclaredProperties::as_schema_says;
  /// Bytes that the vocabulary has as tokens of their own (TokenVocabulary::single_bytes): others are written nowhere,
  /// so that no token border is a dead end.
  ByteSet alphabet = ByteSet::all();
  /// Spellings that `marked` and `until` write as one special token instead of as text (TokenVocabulary::specials).
  std::span<const std::string> specials;
  std::uint32_t max_source_bytes = 1 << 20;
  std::uint32_t max_rules = 20'000;          // values that differ
  std::uint32_t max_table_states = 20'000;   // of one regular part
  std::uint32_t max_total_states = 200'000;  // of all regular parts together
  std::uint64_t max_work = 20'000'000;       // expressions visited, all parts together; a second or two
};

/// What may be written, as parts inside each other.
struct GrammarSource {
  enum class Kind {
    literal,      // `text` itself
    marked,       // `text` itself, with special tokens where it spells some
    until,        // any text up to the first `text`, and that: a special token where it is one's spelling
    until_end,    // any text without `text` in it
    regex,        // `text`: all of what is written matches (regex.h says what is understood)
    gbnf,         // `text`: a grammar in llama.cpp's notation (gbnf_tree.h), from its rule "root" on
    json_schema,  // `text`: a schema document; a value that is valid for all of it, or for what `at` refers to
    raw_string,  // the same, but a string, and not as JSON: its characters alone, none of them a control character or a
                 // backslash, and without parts[0].text in it, which comes behind it
    json_value,  // any JSON value
    json_object,    // any JSON object
    unless_begins,  // parts[0], but not with `text`, or blanks and that, in front
    sequence,       // `parts` one after the other
    any_of,         // one of `parts`
    repeat,         // parts[0], `min` to `max` times
  };
  Kind kind = Kind::literal;
  std::string text;
  std::vector<GrammarSource> parts;
  std::uint32_t min = 0;
  std::uint32_t max = UINT32_MAX;
  std::string at;  // as $ref names it: "#/properties/name"

  static GrammarSource literal(std::string text) { return {Kind::literal, std::move(text)}; }
  static GrammarSource marked(std::string text) { return {Kind::marked, std::move(text)}; }
  static GrammarSource until(std::string text) { return {Kind::until, std::move(text)}; }
  static GrammarSource until_end(std::string text) { return {Kind::until_end, std::move(text)}; }
  static GrammarSource regex(std::string pattern) { return {Kind::regex, std::move(pattern)}; }
  static GrammarSource gbnf(std::string text) { return {Kind::gbnf, std::move(text)}; }
  static GrammarSource json_schema(std::string schema) { return {Kind::json_schema, std::move(schema)}; }
  static GrammarSource json_schema(std::string schema, std::string at) {
    return {.kind = Kind::json_schema, .text = std::move(schema), .at = std::move(at)};
  }
  static GrammarSource raw_string(std::string schema, std::string at, std::string end) {
    return {
        .kind = Kind::raw_string, .text = std::move(schema), .parts = {marked(std::move(end))}, .at = std::move(at)};
  }
  static GrammarSource json_value() { return {Kind::json_value}; }
  static GrammarSource json_object() { return {Kind::json_object}; }
  static GrammarSource choice(std::vector<std::string> texts);
  static GrammarSource sequence(std::vector<GrammarSource> parts) { return {Kind::sequence, {}, std::move(parts)}; }
  static GrammarSource any_of(std::vector<GrammarSource> parts) { return {Kind::any_of, {}, std::move(parts)}; }
  static GrammarSource unless_begins(GrammarSource part, std::string text);
  static GrammarSource repeat(GrammarSource part, std::uint32_t min, std::uint32_t max);
  /// A call as a model writes it: `prefix`, arguments that follow `schema`, `suffix`.
  static GrammarSource tool_call(std::string prefix, std::string schema, std::string suffix);
};

/// The states of the pushdown automaton before anything is written, and the tables and rules they refer to. Immutable:
/// any number of threads may read it.
struct Grammar {
  enum class Kind : std::uint8_t { nothing, epsilon, table, text, rule, repeat, concat, either };
  /// nothing, epsilon
  /// table    state b of tables[a]
  /// text     the rest of a JSON string: min to max characters of tables[a] (its marks not among them), then a mark
  /// rule     rules[a]
  /// repeat   node a, min to max times (UINT32_MAX: without end)
  /// concat   node a, then node b
  /// either   one of children[a] ... children[a + b - 1]
  struct Node {
    Kind kind = Kind::nothing;
    bool nullable = false;  // the empty text belongs to it
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    std::uint32_t min = 0;
    std::uint32_t max = 0;
    friend bool operator==(const Node&, const Node&) = default;
  };
  std::vector<Node> nodes;  // 0 is nothing, 1 epsilon
  std::vector<std::uint32_t> children;
  std::vector<Dfa> tables;
  std::vector<std::uint32_t> rules;  // nodes; none is nullable, none begins with itself
  std::uint32_t start = 0;
  ByteSet alphabet = ByteSet::all();
};

/// Refuses what the limits or the dialect forbid, and what no text satisfies. Messages name the JSON path and the
/// keyword. docs/structured_output.md has the table of keywords.
Result<Grammar> compile_grammar(const GrammarSource& source, const GrammarOptions& options = {});

}  // namespace corbel
