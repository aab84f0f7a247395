#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "corbel/chat/answer_format.h"
#include "corbel/chat/answer_format_probe.h"
#include "corbel/chat/answer_parser.h"
#include "corbel/chat/tool_call_json.h"
#include "corbel/chat/tool_call_scanner.h"

// How a template writes calls is read off renderings of calls with known names and arguments: what stands before the
// first name, between name and arguments, behind the arguments, and between two calls.
namespace corbel {
namespace {

constexpr const char* kFirst = "corbel_probe_one";
constexpr const char* kSecond = "corbel_probe_two";
constexpr std::string_view kKey = "probe_key";
constexpr std::string_view kValue = "probe value";
constexpr std::string_view kOtherKey = "other_key";
constexpr std::string_view kOtherValue = "other value";
constexpr std::string_view kContent = "corbel probe answer";
constexpr std::string_view kThought = "corbel probe thought";

ToolCall two_texts(const char* name, const char* id) {
  return {id, name, R"({"probe_key": "probe value", "other_key": "other value"})"};
}

/// The turns that shapes are read off; texts without what ends the turn and without thoughts.
struct Renderings {
  std::string one;
  std::string two;    // empty: the template writes one call only
  std::string empty;  // a call without arguments
};

std::string trimmed(std::string_view text) { return std::string(without_blanks(text)); }

std::string_view between(std::string_view text, std::size_t from, std::size_t to) {
  return from <= to && to <= text.size() ? text.substr(from, to - from) : std::string_view();
}

/// A call's parts in one rendering: text before it, between it and the next call, behind the last.
struct Surroundings {
  std::string before;
  std::string inner;  // between two calls; empty when there is one
  std::string after;
};

/// Sorts the markers around calls into those of each call and those of the whole section.
void set_surroundings(const Surroundings& around, ToolCallSyntax& syntax) {
  if (around.inner.empty()) {
    syntax.open = trimmed(around.before);
    syntax.close = trimmed(around.after);
    return;
  }
  const std::string_view open = behind_half_marker(common_ending(around.before, around.inner));
  const std::string_view close = before_half_marker(common_beginning(around.inner, around.after));
  syntax.open = trimmed(open);
  syntax.section_open = trimmed(std::string_view(around.before).substr(0, around.before.size() - open.size()));
  syntax.close = trimmed(close);
  syntax.section_close = trimmed(std::string_view(around.after).substr(close.size()));
}

struct Extent {
  std::size_t start = 0;
  std::size_t end = 0;
};

/// The first JSON value at or behind `from` that `fits`.
template <typename Fits>
std::optional<Extent> find_json(std::string_view text, std::size_t from, std::size_t last_start, const Fits& fits) {
  for (std::size_t start = from; start < text.size() && start <= last_start; ++start) {
    if (text[start] != '{' && text[start] != '[') continue;
    JsonScanner scanner;
    ScanStep step = ScanStep::more;
    std::size_t at = start;
    while (at < text.size() && step == ScanStep::more) step = scanner.feed(text[at++]);
    if (step == ScanStep::done && fits(text.substr(start, at - start))) return Extent{start, at};
  }
  return std::nullopt;
}

std::optional<ToolCallSyntax> derive_json_object(const Renderings& seen) {
  const auto holds_call = [](std::string_view json) {
    const auto calls = calls_from_json(json, true);
    return !calls.empty() && (calls.front().name == kFirst || calls.front().name == kSecond);
  };
  const std::size_t name = seen.one.find(kFirst);
  const auto first = find_json(seen.one, 0, name, holds_call);
  if (!first) return std::nullopt;
  Surroundings around{seen.one.substr(0, first->start), {}, seen.one.substr(first->end)};
  const auto earlier = find_json(seen.two, 0, seen.two.size(), holds_call);
  const auto later = earlier ? find_json(seen.two, earlier->end, seen.two.size(), holds_call) : std::nullopt;
  if (later) around.inner = std::string(between(seen.two, earlier->end, later->start));
  ToolCallSyntax syntax;
  set_surroundings(around, syntax);
  return syntax;
}

std::string_view without_index(std::string_view text) {
  if (!text.starts_with(':')) return text;
  const std::size_t end = text.find_first_not_of("0123456789", 1);
  return end == 1 || end == std::string_view::npos ? text : text.substr(end);
}

/// "functions." at the end of what stands before a name belongs to the name.
void split_prefix(ToolCallSyntax& syntax) {
  std::size_t start = syntax.open.size();
  while (start > 0 && is_tool_name_byte(syntax.open[start - 1])) --start;
  if (start == 0 || !(syntax.open.ends_with('.') || syntax.open.ends_with(':'))) return;
  syntax.name_prefix = syntax.open.substr(start);
  syntax.open.resize(start);
}

std::optional<ToolCallSyntax> derive_named_json(const Renderings& seen, std::string_view id) {
  const auto holds_arguments = [](std::string_view json) {
    const auto members = json.starts_with('{') ? json_members(json) : decltype(json_members(json)){};
    return !members.empty() && (members.front().first == kKey || members.front().first == kOtherKey);
  };
  const std::size_t name = seen.one.find(kFirst);
  const std::size_t name_end = name + std::string_view(kFirst).size();
  const auto json = find_json(seen.one, name_end, seen.one.size(), holds_arguments);
  if (!json) return std::nullopt;
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::named_json;
  const std::string_view middle = without_index(between(seen.one, name_end, json->start));
  const std::size_t id_at = middle.find(id);
  if (id_at != std::string_view::npos) {
    syntax.id_open = trimmed(middle.substr(0, id_at));
    syntax.name_end = trimmed(middle.substr(id_at + id.size()));
  } else {
    syntax.name_end = trimmed(middle);
  }
  if (syntax.name_end.empty()) return std::nullopt;
  Surroundings around{seen.one.substr(0, name), {}, seen.one.substr(json->end)};
  const std::size_t second = seen.two.find(kSecond);
  const auto earlier = find_json(seen.two, std::min(seen.two.find(kFirst), seen.two.size()), second, holds_arguments);
  if (earlier && second != std::string::npos) around.inner = std::string(between(seen.two, earlier->end, second));
  set_surroundings(around, syntax);
  split_prefix(syntax);
  return syntax;
}

std::optional<ToolCallSyntax> derive_parameters(const Renderings& seen) {
  const std::string& text = seen.one;
  const std::size_t name = text.find(kFirst);
  const std::size_t name_end = name + std::string_view(kFirst).size();
  const std::size_t key = text.find(kKey, name_end);
  const std::size_t value = key == std::string::npos ? key : text.find(kValue, key);
  const std::size_t other = value == std::string::npos ? value : text.find(kOtherKey, value);
  const std::size_t last = other == std::string::npos ? other : text.find(kOtherValue, other);
  if (last == std::string::npos) return std::nullopt;
  const std::size_t empty_name = seen.empty.find(kFirst);
  if (empty_name == std::string::npos) return std::nullopt;
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::parameters;
  const std::string_view head = between(text, name_end, key);
  const std::string_view no_body = std::string_view(seen.empty).substr(empty_name + std::string_view(kFirst).size());
  const std::string_view name_part = before_half_marker(common_beginning(head, no_body));
  syntax.name_end = trimmed(name_part);
  syntax.key_open = trimmed(head.substr(name_part.size()));
  const std::string_view key_end = between(text, key + kKey.size(), value);
  syntax.key_end = trimmed(key_end);
  syntax.newlines_in_values = key_end.ends_with('\n');
  const std::string_view next = between(text, value + kValue.size(), other);
  if (syntax.key_open.empty() || syntax.key_end.empty() || !next.ends_with(syntax.key_open)) return std::nullopt;
  syntax.value_end = trimmed(next.substr(0, next.size() - syntax.key_open.size()));
  const std::string_view tail = without_blanks(std::string_view(text).substr(last + kOtherValue.size()));
  if (syntax.value_end.empty() || !tail.starts_with(syntax.value_end)) return std::nullopt;
  // What is left closes the call, then the section, as what stands before the name opened them.
  const std::string_view closing = without_blanks(tail.substr(syntax.value_end.size()));
  const std::string opening = trimmed(text.substr(0, name));
  const std::size_t opening_split = opening.rfind('<');
  const std::size_t closing_split = closing.find('>');
  if (opening_split == std::string::npos || closing_split == std::string_view::npos) return std::nullopt;
  syntax.section_open = trimmed(std::string_view(opening).substr(0, opening_split));
  syntax.open = opening.substr(opening_split);
  syntax.close = std::string(closing.substr(0, closing_split + 1));
  syntax.section_close = trimmed(closing.substr(closing_split + 1));
  return syntax;
}

std::optional<ToolCallSyntax> derive_python_calls(const Renderings& seen) {
  const std::size_t name = seen.one.find(kFirst);
  const std::size_t end = seen.one.rfind(')');
  const std::string_view behind = std::string_view(seen.one).substr(name + std::string_view(kFirst).size());
  if (!behind.starts_with('(') || end == std::string::npos) return std::nullopt;
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::python_calls;
  std::string_view before = without_blanks(std::string_view(seen.one).substr(0, name));
  std::string_view after = without_blanks(std::string_view(seen.one).substr(end + 1));
  if (before.ends_with('[') && after.starts_with(']')) {
    before.remove_suffix(1);
    after.remove_prefix(1);
  }
  syntax.open = trimmed(before);
  syntax.close = trimmed(after);
  return syntax;
}

std::optional<ToolCallSyntax> derive_loose_object(const Renderings& seen) {
  const std::size_t name = seen.one.find(kFirst);
  const std::size_t name_end = name + std::string_view(kFirst).size();
  const std::size_t key = seen.one.find(kKey, name_end);
  const std::size_t value = seen.one.find(kValue, name_end);
  if (!between(seen.one, name_end, seen.one.size()).starts_with('{') || key == std::string::npos || value < key) {
    return std::nullopt;
  }
  const std::string_view colon = between(seen.one, key + kKey.size(), value);
  if (!colon.starts_with(':')) return std::nullopt;
  ToolCallSyntax syntax;
  syntax.shape = ToolCallShape::loose_object;
  syntax.string_mark = trimmed(colon.substr(1));
  const std::size_t end = seen.one.rfind('}');
  Surroundings around{seen.one.substr(0, name), {}, seen.one.substr(end + 1)};
  const std::size_t second = seen.two.find(kSecond);
  if (second != std::string::npos) {
    const std::size_t first_end = seen.two.rfind('}', second);
    if (first_end != std::string::npos) around.inner = std::string(between(seen.two, first_end + 1, second));
  }
  set_surroundings(around, syntax);
  split_prefix(syntax);
  return syntax;
}

/// Sets of calls that a format has to give back.
std::vector<std::vector<ToolCall>> probe_sets() {
  const ToolCall typed{"probeid01", kFirst,
                       R"({"probe_key": "say \"hi\" <b> {x} \u00e9\n\u4e2d", "number": -1.5, "flag": true, )"
                       R"("list": [1, 2], "object": {"inner": {"deep": "7"}}})"};
  return {{two_texts(kFirst, "probeid01")},
          {typed},
          {{"probeid01", kFirst, "{}"}},
          {two_texts(kFirst, "probeid01"), two_texts(kSecond, "probeid02")}};
}

bool same_calls(const std::vector<ToolCall>& found, const std::vector<ToolCall>& wanted) {
  if (found.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto a = nlohmann::json::parse(found[i].arguments, nullptr, false);
    const auto b = nlohmann::json::parse(wanted[i].arguments, nullptr, false);
    if (found[i].name != wanted[i].name || a.is_discarded() || a != b) return false;
  }
  return true;
}

/// How many of the renderable sets of calls the format gives back, and whether those of texts are among them.
int score(const AnswerFormat& format, const TemplateProbe& probe) {
  int right = 0;
  for (const auto& calls : probe_sets()) {
    const auto turn = probe.turn("", {}, calls);
    if (!turn) continue;
    const auto answer = parse_answer(turn->text, format, {turn->prompt, &TemplateProbe::tools(), true});
    if (same_calls(answer.tool_calls, calls)) ++right;
  }
  return right;
}

/// Markers of thoughts that everybody knows, where the template mentions them.
std::vector<ReasoningMarkers> mentioned_reasoning(const std::string& source) {
  std::vector<ReasoningMarkers> found;
  for (const ReasoningMarkers& markers : named_reasoning_markers()) {
    if (source.find(markers.close) != std::string::npos) found.push_back(markers);
  }
  return found;
}

std::string last_marker(std::string_view text) {
  text = without_blanks(text);
  const std::size_t start = text.ends_with('>') ? text.rfind('<') : text.ends_with(']') ? text.rfind('[') : text.size();
  return start >= text.size() ? std::string() : std::string(text.substr(start));
}

std::vector<ReasoningMarkers> derive_reasoning(const TemplateProbe& probe, const std::string& source) {
  std::vector<ReasoningMarkers> found = mentioned_reasoning(source);
  const auto plain = probe.turn(kContent, {}, {});
  const auto turn = probe.turn(kContent, kThought, {});
  if (!plain || !turn) return found;
  const std::size_t thought = turn->text.find(kThought);
  const std::size_t content = turn->text.find(kContent);
  if (thought == std::string::npos || content == std::string::npos || content < thought) return found;
  std::string open = trimmed(turn->text.substr(0, thought));
  std::string close = trimmed(between(turn->text, thought + kThought.size(), content));
  // A prompt that has opened the thoughts already leaves the closing marker alone.
  if (open.empty()) open = last_marker(turn->prompt);
  // Where the answer proper has a marker of its own, that is not a part of the closing one.
  const std::size_t own = plain->text.find(kContent);
  if (own != std::string::npos) {
    const std::string before = trimmed(plain->text.substr(0, own));
    if (!before.empty() && close.ends_with(before) && close.size() > before.size()) {
      close.resize(close.size() - before.size());
    }
  }
  ReasoningMarkers markers{std::move(open), trimmed(close)};
  if (markers.open.empty() || markers.close.empty()) return found;
  std::erase_if(
      found, [&](const ReasoningMarkers& known) { return known.open == markers.open || known.close == markers.close; });
  found.insert(found.begin(), std::move(markers));
  return found;
}

std::string without_thoughts(std::string text, const std::vector<ReasoningMarkers>& reasoning) {
  for (const ReasoningMarkers& markers : reasoning) {
    const std::size_t close = text.find(markers.close);
    if (close == std::string::npos) continue;
    const std::string_view before = without_blanks(std::string_view(text).substr(0, close));
    if (before.empty() || before == without_blanks(markers.open)) text.erase(0, close + markers.close.size());
  }
  return text;
}

std::string call_rendering(const TemplateProbe& probe, const std::vector<ToolCall>& calls,
                           const std::vector<ReasoningMarkers>& reasoning) {
  const auto turn = probe.turn("", {}, calls);
  if (!turn) return {};
  std::string text = without_thoughts(turn->text, reasoning);
  const std::string_view end = probe.turn_end();
  if (!end.empty() && text.ends_with(end)) text.resize(text.size() - end.size());
  return text;
}

void derive_content_markers(const TemplateProbe& probe, AnswerFormat::Parts& parts) {
  const auto turn = probe.turn(kContent, {}, {});
  if (!turn) return;
  const std::string text = without_thoughts(turn->text, parts.reasoning);
  const std::string open = trimmed(text.substr(0, std::min(text.find(kContent), text.size())));
  if (open.size() < 3 || (open.front() != '<' && open.front() != '[')) return;
  const std::string_view end = without_blanks(probe.turn_end());
  const std::size_t close = end.find(open.front() == '<' ? '>' : ']');
  if (close == std::string_view::npos) return;
  parts.content_open = open;
  parts.content_close = std::string(end.substr(0, close + 1));
}

std::vector<ToolCallSyntax> derive_calls(const TemplateProbe& probe, const std::vector<ReasoningMarkers>& reasoning) {
  const auto sets = probe_sets();
  const Renderings seen{call_rendering(probe, sets[0], reasoning), call_rendering(probe, sets[3], reasoning),
                        call_rendering(probe, sets[2], reasoning)};
  if (seen.one.find(kFirst) == std::string::npos) return {};
  std::vector<ToolCallSyntax> best;
  int best_score = 0;
  for (const auto& derived : {derive_json_object(seen), derive_named_json(seen, "probeid01"), derive_parameters(seen),
                              derive_python_calls(seen), derive_loose_object(seen)}) {
    if (!derived) continue;
    AnswerFormat::Parts parts;
    parts.calls = {*derived};
    parts.reasoning = reasoning;
    const int right = score(AnswerFormat(parts), probe);
    if (right <= best_score) continue;
    best_score = right;
    best = parts.calls;
  }
  return best;
}

/// The formats whose markers a template's instructions name, though it renders no calls itself.
std::vector<ToolCallSyntax> mentioned_calls(const std::string& source) {
  std::vector<ToolCallSyntax> found;
  for (const NamedToolCallSyntaxes& entry : tool_call_syntaxes()) {
    for (const ToolCallSyntax& syntax : entry.syntaxes) {
      const std::string& marker = syntax.section_open.empty() ? syntax.open : syntax.section_open;
      if (marker.size() > 3 && source.find(marker) != std::string::npos) found.push_back(syntax);
    }
  }
  return found;
}

}  // namespace

AnswerFormat AnswerFormat::from_template(const ChatTemplate& chat_template, const Json& variables) {
  const TemplateProbe probe(chat_template, variables);
  const std::string& source = chat_template.source();
  Parts parts;
  const auto mentions = [&](std::string_view text) { return source.find(text) != std::string::npos; };
  if (mentions("<|channel|>") && mentions("<|message|>")) {
    parts.channels = true;
    return AnswerFormat(std::move(parts));
  }
  parts.reasoning = derive_reasoning(probe, source);
  derive_content_markers(probe, parts);
  parts.calls = derive_calls(probe, parts.reasoning);
  // Bare calls have no marker to be known by; models that write them write the marked ones of their template as well.
  if (parts.calls.empty() || stands_bare(parts.calls.front())) {
    for (ToolCallSyntax& syntax : mentioned_calls(source)) parts.calls.push_back(std::move(syntax));
  }
  if (parts.calls.empty()) parts.calls = generic().parts().calls;
  if (parts.reasoning.empty()) parts.reasoning = generic().parts().reasoning;
  return AnswerFormat(std::move(parts));
}

}  // namespace corbel
