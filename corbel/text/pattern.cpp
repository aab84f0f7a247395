#include "corbel/text/pattern.h"

#include <algorithm>

#include "corbel/base/cat.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

struct BehaviorName {
  std::string_view name;
  SplitBehavior behavior;
};
constexpr BehaviorName kBehaviors[] = {{"Removed", SplitBehavior::removed},
                                       {"Isolated", SplitBehavior::isolated},
                                       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
                                       {"MergedWithNext", SplitBehavior::merged_with_next},
                                       {"Contiguous", SplitBehavior::contiguous}};

struct Part {
  Span span;
  bool match = false;
};

/// Joins parts as the behaviour says. A match joins its neighbour only when the part looked at before was no match, so
/// that the second of two matches stands alone (as in Hugging Face's NormalizedString::split).
void join(const std::vector<Part>& parts, SplitBehavior behavior, std::vector<Span>& pieces) {
  const std::size_t first = pieces.size();
  bool previous_match = false;
  const auto add = [&](const Part& part, bool joins, bool forward) {
    if (joins && pieces.size() > first) {
      (forward ? pieces.back().end : pieces.back().begin) = forward ? part.span.end : part.span.begin;
    } else {
      pieces.push_back(part.span);
    }
    previous_match = part.match;
  };
  switch (behavior) {
    case SplitBehavior::isolated:
      for (const Part& part : parts) pieces.push_back(part.span);
      break;
    case SplitBehavior::removed:
      for (const Part& part : parts) {
        if (!part.match) pieces.push_back(part.span);
      }
      break;
    case SplitBehavior::contiguous:
      for (const Part& part : parts) add(part, part.match == previous_match, true);
      break;
    case SplitBehavior::merged_with_previous:
      for (const Part& part : parts) add(part, part.match && !previous_match, true);
      break;
    case SplitBehavior::merged_with_next:
      for (std::size_t i = parts.size(); i-- > 0;) add(parts[i], parts[i].match && !previous_match, false);
      std::reverse(pieces.begin() + static_cast<std::ptrdiff_t>(first), pieces.end());
      break;
  }
  pieces.erase(std::remove_if(pieces.begin() + static_cast<std::ptrdiff_t>(first), pieces.end(),
                              [](Span span) { return span.begin == span.end; }),
               pieces.end());
}

void each_literal(std::string_view literal, std::string_view text, MatchSink found) {
  if (literal.empty()) return;
  for (std::size_t at = text.find(literal); at != std::string_view::npos;
       at = text.find(literal, at + literal.size())) {
    found({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + literal.size())});
  }
}

void each_char(Pattern::CharTest test, std::string_view text, MatchSink found) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text.data() + at);
    if (test(c.code)) found({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + c.bytes)});
    at += c.bytes;
  }
}

void each_tile(Splitter splitter, std::string_view text, std::uint32_t base, std::vector<Span>& pieces) {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    const char* stop = splitter(at, end);
    pieces.push_back(
        {base + static_cast<std::uint32_t>(at - text.data()), base + static_cast<std::uint32_t>(stop - text.data())});
    at = stop;
  }
}

}  // namespace

Result<SplitBehavior> parse_split_behavior(std::string_view name, std::string_view field) {
  std::string known;
  for (const BehaviorName& entry : kBehaviors) {
    if (entry.name == name) return entry.behavior;
    known += cat(known.empty() ? "\"" : ", \"", entry.name, "\"");
  }
  return fail(Code::unsupported, cat("\"", field, "\" is \"", name, "\"; known: ", known));
}

Result<Pattern> Pattern::from_regex(std::string_view source) {
  if (const Splitter splitter = find_splitter(source); splitter != nullptr) return Pattern(splitter);
  CORBEL_ASSIGN(Regex regex, Regex::compile(source));
  return Pattern(std::make_shared<const Regex>(std::move(regex)));
}

Result<void> Pattern::each_match(std::string_view text, MatchSink found) const {
  if (const auto* regex = std::get_if<std::shared_ptr<const Regex>>(&what_)) return (*regex)->each_match(text, found);
  if (const auto* literal = std::get_if<std::string>(&what_)) {
    each_literal(*literal, text, found);
  } else if (const auto* test = std::get_if<CharTest>(&what_)) {
    each_char(*test, text, found);
  } else {
    std::vector<Span> tiles;
    each_tile(std::get<Splitter>(what_), text, 0, tiles);
    for (const Span tile : tiles) found(tile);
  }
  return {};
}

Result<void> Pattern::split(std::string_view text, std::uint32_t base, SplitBehavior behavior, bool invert,
                            std::vector<Span>& pieces) const {
  if (behavior == SplitBehavior::isolated) {
    if (const auto* splitter = std::get_if<Splitter>(&what_)) {
      each_tile(*splitter, text, base, pieces);
      return {};
    }
  }
  std::vector<Part> parts;
  std::uint32_t done = 0;
  const auto size = static_cast<std::uint32_t>(text.size());
  const auto add = [&](std::uint32_t begin, std::uint32_t end, bool match) {
    parts.push_back({{base + begin, base + end}, match != invert});
  };
  CORBEL_TRY(each_match(text, [&](Span match) {
    if (done != match.begin) add(done, match.begin, false);
    add(match.begin, match.end, true);
    done = match.end;
  }));
  if (done != size) add(done, size, false);
  join(parts, behavior, pieces);
  return {};
}

}  // namespace corbel
