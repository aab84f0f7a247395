#include "corbel/chat/answer_format_probe.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/chat/tool_call_json.h"

namespace corbel {
namespace {

constexpr const char* kQuestion = "corbel probe question";
constexpr const char* kTool = "corbel_probe_one";
constexpr std::size_t kMaxRendering = 1 << 18;  // a template is untrusted, and its output is searched

Json make_tool(const char* name, Json properties) {
  Json parameters = {{"type", "object"}, {"properties", std::move(properties)}, {"required", Json::array()}};
  Json function = {{"name", name}, {"description", "a tool"}, {"parameters", std::move(parameters)}};
  function["return"] = {{"type", "string"}, {"description", "a text"}};
  return {{"type", "function"}, {"function", std::move(function)}};
}

/// Parameters of every type.
Json all_parameters() {
  const auto text = [] { return Json{{"type", "string"}, {"description", "a text"}}; };
  return {{"probe_key", text()},
          {"other_key", text()},
          {"number", {{"type", "number"}, {"description", "a number"}}},
          {"flag", {{"type", "boolean"}, {"description", "a flag"}}},
          {"nothing", {{"type", "null"}, {"description", "nothing"}}},
          {"list", {{"type", "array"}, {"items", {{"type", "integer"}}}, {"description", "a list"}}},
          {"object", {{"type", "object"}, {"properties", Json::object()}, {"description", "an object"}}}};
}

std::string_view ends_before(std::string_view text, char open, char close) {
  const std::size_t last = text.rfind(open);
  if (last == std::string_view::npos || text.find(close, last) != std::string_view::npos) return text;
  return text.substr(0, last);
}

std::string_view begins_behind(std::string_view text, char open, char close) {
  const std::size_t first = text.find(close);
  if (first == std::string_view::npos || text.substr(0, first).find(open) != std::string_view::npos) return text;
  return text.substr(first + 1);
}

}  // namespace

std::string_view before_half_marker(std::string_view text) {
  return ends_before(ends_before(text, '<', '>'), '[', ']');
}

std::string_view behind_half_marker(std::string_view text) {
  return begins_behind(begins_behind(text, '<', '>'), '[', ']');
}

std::string_view common_beginning(std::string_view a, std::string_view b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return a.substr(0, static_cast<std::size_t>(end - a.begin()));
}

std::string_view common_ending(std::string_view a, std::string_view b) {
  const auto [end, other] = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend());
  return a.substr(a.size() - static_cast<std::size_t>(end - a.rbegin()));
}

std::string without_html_quotes(std::string text) {
  constexpr std::string_view kQuote = "&#34;";
  std::string out;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(kQuote, at)) != std::string::npos; at = found + kQuote.size()) {
    out.append(text, at, found - at);
    out += '"';
  }
  if (at == 0) return text;
  return out.append(text, at);
}

const Json& TemplateProbe::tools() {
  static const Json kTools =
      Json::array({make_tool(kTool, all_parameters()), make_tool("corbel_probe_two", all_parameters())});
  return kTools;
}

// Templates break over tools in their own ways: over types they do not know, over any tools at all.
TemplateProbe::TemplateProbe(const ChatTemplate& chat_template, const Json& variables)
    : template_(&chat_template), variables_(variables.is_object() ? variables : Json::object()) {
  if (!variables_.contains("documents")) variables_["documents"] = nullptr;
  const bool given = variables_.contains("tools") && !variables_["tools"].is_null();
  const Json plain = Json::array({make_tool(kTool, {{"probe_key", {{"type", "string"}, {"description", "a text"}}}})});
  const std::array<Json, 3> choices = {given ? variables_["tools"] : tools(), plain, Json()};
  renders_calls_ = std::any_of(choices.begin(), choices.end(), [&](const Json& choice) { return take_tools(choice); });
  if (!renders_calls_) take_tools(choices.front());
  constexpr std::string_view kAnswer = "corbel probe answer";
  if (const auto said = turn(kAnswer, {}, {})) {
    const std::size_t found = said->text.rfind(kAnswer);
    if (found != std::string::npos) turn_end_ = said->text.substr(found + kAnswer.size());
  }
}

/// Renders with these tools from now on; true when calls come out.
bool TemplateProbe::take_tools(const Json& tools) {
  variables_["tools"] = tools;
  const Json question = Json::array({{{"role", "user"}, {"content", kQuestion}}});
  const auto rendered = render(question, false);
  if (!rendered) return false;
  question_ = *rendered;
  prompt_ = render(question, true).value_or(question_);
  return turn("", {}, {{"probeid01", kTool, R"({"probe_key": "probe value"})"}}).has_value();
}

std::optional<std::string> TemplateProbe::render(const Json& messages, bool add_generation_prompt) const {
  Json variables = variables_;
  variables["messages"] = messages;
  variables["add_generation_prompt"] = add_generation_prompt;
  auto rendered = template_->render(variables);
  if (!rendered || rendered->size() > kMaxRendering) return std::nullopt;
  return without_html_quotes(*std::move(rendered));
}

std::optional<std::string> TemplateProbe::render_turn(const Json& assistant) const {
  return render(Json::array({{{"role", "user"}, {"content", kQuestion}}, assistant}), false);
}

Json TemplateProbe::assistant(std::string_view content, std::string_view reasoning, const std::vector<ToolCall>& calls,
                              const Way& way) const {
  Json message = {{"role", "assistant"}, {"content", content}};
  if (way.content_is_null) message["content"] = nullptr;
  if (!reasoning.empty()) {
    for (const char* key : {"reasoning_content", "reasoning", "thinking"}) message[key] = reasoning;
  }
  for (const ToolCall& call : calls) {
    auto arguments = parse_json(call.arguments, "a probe's arguments");
    Json function = {{"name", call.name}, {"arguments", way.arguments_as_text ? Json(call.arguments) : *arguments}};
    Json entry = {{"id", call.id}, {"type", "function"}};
    if (way.without_function) {
      entry.update(function);
    } else {
      entry["function"] = std::move(function);
    }
    message["tool_calls"].push_back(std::move(entry));
  }
  return message;
}

std::optional<RenderedTurn> TemplateProbe::turn(std::string_view content, std::string_view reasoning,
                                                const std::vector<ToolCall>& calls) const {
  std::vector<Way> ways = {{}};
  if (!calls.empty()) ways = {{}, {true}, {false, true}, {true, true}, {false, false, true}, {true, false, true}};
  for (const Way& way : ways) {
    if (way.content_is_null && !content.empty()) continue;
    const auto rendered = render_turn(assistant(content, reasoning, calls, way));
    if (!rendered) continue;
    const std::size_t turn_start = common_beginning(question_, *rendered).size();
    const bool all_there = std::all_of(calls.begin(), calls.end(), [&](const ToolCall& call) {
      return rendered->find(call.name, turn_start) != std::string::npos;
    });
    // Arguments that were objects and come out inside a string were wanted as text, or the other way round: `\"`.
    const bool quoted_twice = std::any_of(calls.begin(), calls.end(), [&](const ToolCall& call) {
      const auto members = json_members(call.arguments);
      if (members.empty()) return false;
      return rendered->find(cat("\"{\\\"", members.front().first), turn_start) != std::string::npos;
    });
    if (all_there && !quoted_twice) return cut(*rendered);
  }
  return std::nullopt;
}

// The model's own words begin behind what opens its turn. That is what prompt and rendering have in common; where the
// prompt says more (it opens thoughts), the turn either goes on inside or was written without.
std::optional<RenderedTurn> TemplateProbe::cut(const std::string& rendered) const {
  if (!rendered.starts_with(question_)) return cut_before_tail(rendered);
  const std::string_view shared = before_half_marker(common_beginning(rendered, prompt_));
  RenderedTurn turn;
  turn.prompt = std::string(shared);
  turn.text = rendered.substr(shared.size());
  const std::string_view opened = std::string_view(prompt_).substr(shared.size());
  const std::size_t close = turn.text.find("</");
  const std::size_t first = turn.text.find_first_not_of(" \n");
  if (!opened.empty() && close != std::string::npos && close == first) turn.prompt = prompt_;
  return turn;
}

// A template that ends every conversation with words of its own has the turn in front of them.
std::optional<RenderedTurn> TemplateProbe::cut_before_tail(const std::string& rendered) const {
  const std::string opening = prompt_.substr(common_beginning(question_, prompt_).size());
  const std::size_t shared = common_beginning(question_, rendered).size();
  const std::size_t start = opening.empty() ? shared : rendered.rfind(opening, shared);
  if (start == std::string::npos || start + opening.size() < shared) return std::nullopt;
  const std::string_view tail = std::string_view(question_).substr(start);
  RenderedTurn turn;
  turn.prompt = rendered.substr(0, start + opening.size());
  turn.text = rendered.substr(start + opening.size());
  if (!turn.text.ends_with(tail)) return std::nullopt;
  turn.text.resize(turn.text.size() - tail.size());
  return turn;
}

}  // namespace corbel
