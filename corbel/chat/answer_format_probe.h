#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/chat/tool_call.h"
#include "corbel/text/chat_template.h"

namespace corbel {

/// An assistant's turn as a template writes it.
struct RenderedTurn {
  std::string text;    // from behind what opens the turn to the end of the rendering
  std::string prompt;  // what a model sees before it goes on with `text`
};

/// Renders small conversations through one template, in the way it wants its arguments and contents.
class TemplateProbe {
 public:
  TemplateProbe(const ChatTemplate& chat_template, const Json& variables);

  /// False: the template renders no calls, whatever the form it gets them in.
  bool renders_calls() const noexcept { return renders_calls_; }
  /// The turn of an assistant that says `content`, thought `reasoning` (empty: nothing) and makes `calls`, last in the
  /// conversation. Nothing when the template refuses every way of saying so.
  std::optional<RenderedTurn> turn(std::string_view content, std::string_view reasoning,
                                   const std::vector<ToolCall>& calls) const;
  /// What the template puts behind a text to end its turn.
  const std::string& turn_end() const noexcept { return turn_end_; }
  /// The tools that the probes' calls name, as a request lists them.
  static const Json& tools();

 private:
  struct Way {
    bool arguments_as_text = false;
    bool content_is_null = false;
    bool without_function = false;  // name and arguments in the call itself
  };
  std::optional<std::string> render(const Json& messages, bool add_generation_prompt) const;
  std::optional<std::string> render_turn(const Json& assistant) const;
  bool take_tools(const Json& tools);
  Json assistant(std::string_view content, std::string_view reasoning, const std::vector<ToolCall>& calls,
                 const Way& way) const;
  std::optional<RenderedTurn> cut(const std::string& rendered) const;
  std::optional<RenderedTurn> cut_before_tail(const std::string& rendered) const;

  const ChatTemplate* template_;
  Json variables_;
  std::string question_;  // rendered without an answer
  std::string prompt_;    // and with what makes the assistant speak
  std::string turn_end_;
  bool renders_calls_ = false;
};

/// HTML's spelling of quotes, that some templates bring into their own markup by accident, as quotes.
std::string without_html_quotes(std::string text);

/// `text` without a marker cut in half at its end, as common beginnings of two texts have them: "</a><" -> "</a>".
std::string_view before_half_marker(std::string_view text);
/// The same at its beginning: "l> <b>" -> " <b>".
std::string_view behind_half_marker(std::string_view text);

std::string_view common_beginning(std::string_view a, std::string_view b);
std::string_view common_ending(std::string_view a, std::string_view b);

}  // namespace corbel
