#include "corbel/grammar/grammar.h"

#include "corbel/grammar/gbnf.h"
#include "corbel/grammar/grammar_builder.h"
#include "corbel/grammar/regex.h"
#include "corbel/grammar/schema_compiler.h"
#include "corbel/grammar/unless_begins.h"

namespace corbel {
namespace {

using Id = GrammarBuilder::Id;
constexpr int kMaxParts = 64;  // inside each other

Result<Id> compile_part(GrammarBuilder& builder, const GrammarSource& source, int depth);

Result<Id> compile_regex(GrammarBuilder& builder, const std::string& pattern) {
  Result<Id> id =
      builder.regular([&](Regular& r) { return parse_regex(r, pattern, RegexAnchoring::whole, Spelling::plain); });
  if (!id) return forward_failure(id, "regular expression");
  return id;
}

Result<Id> compile_choices(GrammarBuilder& builder, const GrammarSource& source, int depth) {
  std::vector<std::string> texts;
  std::vector<Id> others;
  const ByteSet& alphabet = builder.options().alphabet;
  for (const GrammarSource& part : source.parts) {
    if (part.kind != GrammarSource::Kind::literal) {
      CORBEL_ASSIGN(const Id id, compile_part(builder, part, depth + 1));
      others.push_back(id);
      continue;
    }
    bool writable = true;
    for (const char c : part.text) writable = writable && alphabet.has(static_cast<std::uint8_t>(c));
    if (writable) texts.push_back(part.text);
  }
  CORBEL_ASSIGN(const Id literals, builder.add_table(dfa_of_literals(std::move(texts))));
  others.push_back(literals);
  return builder.nodes().either(others);
}

/// The special token that `text` begins with, the longest one; empty: none.
std::string_view special_at(const GrammarBuilder& builder, std::string_view text) {
  std::string_view longest;
  for (const std::string& special : builder.options().specials) {
    if (special.size() > longest.size() && text.starts_with(special)) longest = special;
  }
  return longest;
}

Result<Id> special_token(GrammarBuilder& builder, std::string_view spelling) {
  return builder.add_table(dfa_of_literals({kSpecialByte + std::string(spelling)}));
}

Result<Id> compile_marked(GrammarBuilder& builder, std::string_view text) {
  Id all = NodeStore::kEpsilon;
  while (!text.empty()) {
    const std::string_view special = special_at(builder, text);
    std::size_t size = special.size();
    while (size < text.size() && special.empty() && special_at(builder, text.substr(size)).empty()) ++size;
    CORBEL_ASSIGN(const Id part,
                  special.empty() ? builder.literal(text.substr(0, size)) : special_token(builder, special));
    all = builder.nodes().concat(all, part);
    text.remove_prefix(size);
  }
  return all;
}

/// Any bytes that tokens of text have; what they spell need not be valid UTF-8 before its end.
Regular::Id any_text(Regular& r) { return r.star(r.byte_range(0, 0xF7)); }

Regular::Id text_without(Regular& r, Regular::Id text) {
  return r.complement(r.concat({any_text(r), text, any_text(r)}));
}

Result<Id> compile_until(GrammarBuilder& builder, const std::string& text) {
  if (text.empty()) return fail(Code::bad_request, "a text that ends another one is not empty");
  if (special_at(builder, text).size() == text.size()) {
    CORBEL_ASSIGN(const Id before, builder.regular([](Regular& r) { return Result<Regular::Id>(any_text(r)); }));
    CORBEL_ASSIGN(const Id special, special_token(builder, text));
    return builder.nodes().concat(before, special);
  }
  return builder.regular([&text](Regular& r) -> Result<Regular::Id> {
    // Its first place is its last: nothing shorter ends with it.
    const Regular::Id mark = r.literal(text);
    const Regular::Id more = r.concat({any_text(r), mark, r.byte_range(0, 0xF7), any_text(r)});
    return r.difference(r.concat(any_text(r), mark), more);
  });
}

Result<Id> compile_until_end(GrammarBuilder& builder, const std::string& text) {
  if (text.empty()) return fail(Code::bad_request, "a text that another one lacks is not empty");
  return builder.regular([&](Regular& r) -> Result<Regular::Id> {
    if (special_at(builder, text).size() == text.size()) return any_text(r);
    return r.both(any_text(r), text_without(r, r.literal(text)));
  });
}

/// Sources repeat their parts (a call alone, the first of many, each further one): a schema is compiled once.
Result<Id> compile_schema_once(GrammarBuilder& builder, const GrammarSource& source) {
  std::string key = cat(source.text.size(), ' ', source.text, source.at);
  if (const auto known = builder.schemas().find(key); known != builder.schemas().end()) return known->second;
  CORBEL_ASSIGN(const Id id, compile_schema(builder, source.text, source.at));
  builder.schemas().emplace(std::move(key), id);
  return id;
}

Result<Id> compile_part(GrammarBuilder& builder, const GrammarSource& source, int depth) {
  if (depth > kMaxParts) return fail(Code::bad_request, cat("parts lie more than ", kMaxParts, " deep in each other"));
  switch (source.kind) {
    case GrammarSource::Kind::literal: return builder.literal(source.text);
    case GrammarSource::Kind::marked: return compile_marked(builder, source.text);
    case GrammarSource::Kind::until: return compile_until(builder, source.text);
    case GrammarSource::Kind::until_end: return compile_until_end(builder, source.text);
    case GrammarSource::Kind::regex: return compile_regex(builder, source.text);
    case GrammarSource::Kind::gbnf: return compile_gbnf(builder, source.text);
    case GrammarSource::Kind::json_schema: return compile_schema_once(builder, source);
    case GrammarSource::Kind::raw_string: {
      if (source.parts.size() != 1) return fail(Code::bad_request, "a raw string has one text that ends it");
      CORBEL_ASSIGN(const Id end, compile_part(builder, source.parts[0], depth + 1));
      CORBEL_ASSIGN(const Id text, compile_raw_string(builder, source.text, source.at, source.parts[0].text));
      return builder.nodes().concat(text, end);
    }
    case GrammarSource::Kind::json_value: return builder.any_value();
    case GrammarSource::Kind::json_object: return builder.any_object();
    case GrammarSource::Kind::any_of: return compile_choices(builder, source, depth);
    case GrammarSource::Kind::unless_begins: {
      if (source.parts.size() != 1) return fail(Code::bad_request, "what does not begin with a text is one part");
      CORBEL_ASSIGN(const Id part, compile_part(builder, source.parts[0], depth + 1));
      return without_beginning(builder, part, source.text);
    }
    case GrammarSource::Kind::sequence: {
      Id all = NodeStore::kEpsilon;
      for (std::size_t i = source.parts.size(); i-- > 0;) {
        CORBEL_ASSIGN(const Id part, compile_part(builder, source.parts[i], depth + 1));
        all = builder.nodes().concat(part, all);
      }
      return all;
    }
    case GrammarSource::Kind::repeat: {
      if (source.parts.size() != 1) return fail(Code::bad_request, "a repeat has one part");
      CORBEL_ASSIGN(const Id part, compile_part(builder, source.parts[0], depth + 1));
      return builder.nodes().repeat(part, source.min, source.max);
    }
  }
  return fail(Code::bad_request, "unknown kind of part");
}

/// The first schema that no text satisfies, with its place: what a refusal names. Compiles again, for refusals alone.
std::string part_without_text(const GrammarSource& source, const GrammarOptions& options) {
  if (source.kind == GrammarSource::Kind::json_schema) return why_no_text(options, source.text, source.at);
  for (const GrammarSource& part : source.parts) {
    if (std::string why = part_without_text(part, options); !why.empty()) return why;
  }
  return {};
}

std::size_t source_bytes(const GrammarSource& source) {
  std::size_t bytes = source.text.size() + source.at.size() + 1;
  for (const GrammarSource& part : source.parts) bytes += source_bytes(part);
  return bytes;
}

}  // namespace

GrammarSource GrammarSource::choice(std::vector<std::string> texts) {
  GrammarSource source{Kind::any_of};
  for (std::string& text : texts) source.parts.push_back(literal(std::move(text)));
  return source;
}

GrammarSource GrammarSource::unless_begins(GrammarSource part, std::string text) {
  GrammarSource source{Kind::unless_begins, std::move(text)};
  source.parts.push_back(std::move(part));
  return source;
}

GrammarSource GrammarSource::repeat(GrammarSource part, std::uint32_t min, std::uint32_t max) {
  GrammarSource source{.kind = Kind::repeat, .min = min, .max = max};
  source.parts.push_back(std::move(part));
  return source;
}

GrammarSource GrammarSource::tool_call(std::string prefix, std::string schema, std::string suffix) {
  return sequence({literal(std::move(prefix)), json_schema(std::move(schema)), literal(std::move(suffix))});
}

Result<Grammar> compile_grammar(const GrammarSource& source, const GrammarOptions& options) {
  const std::size_t bytes = source_bytes(source);
  if (bytes > options.max_source_bytes) {
    return fail(Code::bad_request,
                cat("cannot compile a grammar of ", bytes, " bytes; at most ", options.max_source_bytes, " are taken"));
  }
  constexpr std::string_view kDoing = "cannot compile the grammar";
  GrammarBuilder builder(options);
  const Result<Id> start = compile_part(builder, source, 0);
  if (!start) return forward_failure(start, kDoing);
  Result<Grammar> grammar = builder.finish(*start);
  if (grammar) return grammar;
  const std::string why = builder.has_no_text(*start) ? part_without_text(source, options) : "";
  if (!why.empty()) return fail(grammar.error().code, cat(kDoing, ": ", why));
  return forward_failure(grammar, kDoing);
}

}  // namespace corbel
