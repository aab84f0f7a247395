#include "corbel/chat/chat_format.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "corbel/base/log.h"
#include "corbel/base/quote.h"
#include "corbel/chat/chat_messages.h"
#include "corbel/text/chat_template.h"

namespace corbel {
namespace {

/// One of a model's templates, and what it was found to take.
struct NamedTemplate {
  std::string name;
  ChatTemplate compiled;
  bool takes_text = true;
  bool takes_parts = true;
};

}  // namespace

struct ChatFormat::Template {
  std::vector<NamedTemplate> named;
  Json variables = Json::object();  // the tokenizer's: bos_token, eos_token, ...
  mutable std::atomic<bool> fold_was_logged = false;

  Result<const NamedTemplate*> choose(std::string_view wanted, bool with_tools) const;
  Result<std::string> render(const NamedTemplate& chosen, const ChatRequest& request, const Json& messages) const;
  Result<std::string> render_text(const NamedTemplate& chosen, const ChatRequest& request, const Json& messages) const;
  Result<std::string> render_folded(const NamedTemplate& chosen, const ChatRequest& request, Json messages) const;
  void try_out(NamedTemplate& tried) const;
};

namespace {

/// A form that base models continue sensibly.
Result<std::string> plain_text(const ChatRequest& request) {
  if (request.tools != nullptr && request.tools->is_array() && !request.tools->empty()) {
    return fail(Code::bad_request,
                "the model has no chat template (chat_template.jinja, tokenizer_config.json \"chat_template\"), so it "
                "cannot be told of tools");
  }
  Json messages = *request.messages;
  CORBEL_TRY(parts_to_text(messages));
  std::string text;
  for (const Json& message : messages) {
    const std::string role = message["role"];
    if (role == "user") text += "User: ";
    if (role == "assistant") text += "Assistant: ";
    if (message.contains("content") && message["content"].is_string()) text += message["content"];
    text += role == "system" ? "\n\n" : "\n";
  }
  return request.generation_prompt ? text + "Assistant:" : text;
}

/// Stands at the end of the last message where its text is gone on with; no text has it.
constexpr std::string_view kGoesOn = "corbel-goes-on-here-7f3a ";

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? std::string_view()
                                         : text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

}  // namespace

/// The one asked for; else, with tools, the one made for them; else "default" or the only one.
Result<const NamedTemplate*> ChatFormat::Template::choose(std::string_view wanted, bool with_tools) const {
  const auto find = [&](std::string_view name) -> const NamedTemplate* {
    for (const NamedTemplate& entry : named) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  };
  if (wanted.empty()) {
    if (const NamedTemplate* found = with_tools ? find("tool_use") : nullptr; found != nullptr) return found;
    if (const NamedTemplate* found = find("default"); found != nullptr) return found;
    if (named.size() == 1) return named.data();
  } else if (const NamedTemplate* found = find(wanted); found != nullptr) {
    return found;
  }
  std::string names;
  for (const NamedTemplate& entry : named) names += cat(names.empty() ? "" : ", ", quote(entry.name));
  return fail(Code::bad_request, cat("the model has no chat template named ",
                                     quote(wanted.empty() ? "default" : wanted), "; it has ", names));
}

Result<std::string> ChatFormat::Template::render(const NamedTemplate& chosen, const ChatRequest& request,
                                                 const Json& messages) const {
  Json all = variables;
  if (request.variables != nullptr && request.variables->is_object()) {
    for (const auto& [name, value] : request.variables->items()) all[name] = value;
  }
  all["messages"] = messages;
  // An empty list of tools would make some templates announce none.
  const bool tools = request.tools != nullptr && request.tools->is_array() && !request.tools->empty();
  all["tools"] = tools ? *request.tools : Json();
  if (!all.contains("documents")) all["documents"] = nullptr;
  all["add_generation_prompt"] = request.generation_prompt;
  return chosen.compiled.render(all);
}

/// With the arguments of tool calls as objects, or else as text; and where a template cannot take null, with empty
/// texts.
Result<std::string> ChatFormat::Template::render_text(const NamedTemplate& chosen, const ChatRequest& request,
                                                      const Json& messages) const {
  auto prompt = render(chosen, request, messages);
  if (prompt) return prompt;
  Json other = messages;
  for (bool (*const change)(Json&) : {arguments_to_text, null_to_text}) {
    if (!change(other)) continue;
    if (auto again = render(chosen, request, other)) return again;
  }
  return prompt;
}

Result<std::string> ChatFormat::Template::render_folded(const NamedTemplate& chosen, const ChatRequest& request,
                                                        Json messages) const {
  auto prompt = render_text(chosen, request, messages);
  const std::string system = system_text(messages);
  const std::string_view needed = trimmed(system);
  if (prompt && (needed.empty() || prompt->find(needed) != std::string::npos)) return prompt;
  if (!fold_system(messages)) return prompt;
  auto folded = render_text(chosen, request, messages);
  if (!folded || folded->find(needed) == std::string::npos) return prompt;
  if (!fold_was_logged.exchange(true)) {
    log(LogLevel::warning,
        cat("system_message_folded template=", chosen.compiled.name(), " reason=", prompt ? "left_out" : "refused"));
  }
  return folded;
}

/// Renders a message both ways, and looks whether its text comes through.
void ChatFormat::Template::try_out(NamedTemplate& tried) const {
  constexpr std::string_view kProbe = "corbel probe 7f3a";
  const auto shows = [&](const Json& content) {
    const Json messages = Json::array({{{"role", "user"}, {"content", content}}});
    const auto prompt = render(tried, ChatRequest{}, messages);
    // A template that prints the list of parts as it is shows the quotation marks of "type".
    return prompt && prompt->find(kProbe) != std::string::npos && prompt->find("'type'") == std::string::npos &&
           prompt->find("\"type\"") == std::string::npos;
  };
  const bool text = shows(std::string(kProbe));
  const bool parts = shows(Json::array({{{"type", "text"}, {"text", kProbe}}}));
  // Neither: the template wants more than one message; leave what comes as it is.
  tried.takes_text = text || !parts;
  tried.takes_parts = parts || !text;
}

ChatFormat::ChatFormat(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}
ChatFormat::ChatFormat(ChatFormat&&) noexcept = default;
ChatFormat& ChatFormat::operator=(ChatFormat&&) noexcept = default;
ChatFormat::~ChatFormat() = default;

Result<ChatFormat> ChatFormat::load(const std::filesystem::path& folder, const Tokenizer& tokenizer) {
  return load(FolderFiles(folder), tokenizer);
}

Result<ChatFormat> ChatFormat::load(const NamedFiles& files, const Tokenizer& tokenizer) {
  ChatFormat format(tokenizer);
  CORBEL_ASSIGN(ChatTemplateSource source, chat_template_source(files));
  for (const auto& [name, text] : source.variables) {
    const std::int32_t id = name == "eos_token" ? tokenizer.id_of(text) : kNoToken;
    if (id != kNoToken) format.stop_ids_.push_back(id);
  }
  if (source.templates.empty()) {
    log(LogLevel::warning, cat("no_chat_template folder=", files.description(), " form=\"User: ... Assistant:\""));
    format.stop_strings_ = {"\nUser:"};
    return format;
  }
  auto templates = std::make_unique<Template>();
  for (const auto& [name, text] : source.variables) templates->variables[name] = text;
  for (ChatTemplateSource::Named& named : source.templates) {
    // Clients read what goes wrong with a template: they are told its name, whoever loads it where it lies.
    const std::filesystem::path file(named.file);
    auto compiled = ChatTemplate::compile(std::move(named.source), file.filename().string());
    if (!compiled) return forward_failure(compiled, file.parent_path().string());
    templates->named.push_back({std::move(named.name), *std::move(compiled)});
    templates->try_out(templates->named.back());
  }
  format.template_ = std::move(templates);
  return format;
}

Result<std::string> ChatFormat::render(const ChatRequest& request) const {
  if (request.messages == nullptr) return fail(Code::bad_request, "a prompt needs messages");
  CORBEL_TRY(check_messages(*request.messages));
  if (!request.continue_final) return render_whole(request);
  Json marked = *request.messages;
  CORBEL_TRY(append_to_last_text(marked, kGoesOn));
  ChatRequest open = request;
  open.messages = &marked;
  CORBEL_ASSIGN(std::string prompt, render_whole(open));
  const std::string_view mark = trimmed(kGoesOn);
  const std::size_t end = prompt.rfind(mark);
  if (end == std::string::npos) {
    return fail(Code::bad_request,
                cat("\"messages[", marked.size() - 1,
                    "].content\" is left out by the model's chat template: it cannot be gone on with"));
  }
  // Behind the mark stands a blank. A template that takes it away trims texts: their own last blanks go, too.
  const bool trims = prompt.compare(end, kGoesOn.size(), kGoesOn) != 0;
  prompt.resize(end);
  if (trims) prompt.resize(prompt.find_last_not_of(" \t\r\n") + 1);
  return prompt;
}

Result<std::string> ChatFormat::render_whole(const ChatRequest& request) const {
  if (template_ == nullptr) return plain_text(request);
  const bool tools = request.tools != nullptr && request.tools->is_array() && !request.tools->empty();
  CORBEL_ASSIGN(const NamedTemplate* chosen, template_->choose(request.template_name, tools));
  Json messages = *request.messages;
  if (!mentions("developer")) developer_to_system(messages);
  spread_reasoning(messages);
  arguments_to_objects(messages);
  if (!chosen->takes_parts) {
    CORBEL_TRY(parts_to_text(messages));
  }
  if (!chosen->takes_text) text_to_parts(messages);
  auto prompt = template_->render_folded(*chosen, request, std::move(messages));
  if (!prompt) return forward_failure(prompt, "the model's chat template");
  return prompt;
}

Result<std::vector<std::int32_t>> ChatFormat::encode(const ChatRequest& request) const {
  CORBEL_ASSIGN(const std::string prompt, render(request));
  return encode_prompt(prompt);
}

AnswerFormat ChatFormat::answer_format() const {
  if (template_ == nullptr) return AnswerFormat::plain();
  const auto chosen = template_->choose("", true);
  return AnswerFormat::from_template(chosen ? (*chosen)->compiled : template_->named.front().compiled,
                                     template_->variables);
}

bool ChatFormat::mentions(std::string_view text) const {
  if (template_ == nullptr) return false;
  return std::ranges::any_of(template_->named, [&](const NamedTemplate& entry) {
    return entry.compiled.source().find(text) != std::string::npos;
  });
}

Result<std::vector<std::int32_t>> ChatFormat::encode_prompt(std::string_view prompt) const {
  if (template_ == nullptr) return tokenizer_->encode(prompt, {.parse_special = false});
  return tokenizer_->encode(prompt, {.add_special_tokens = false, .parse_control = true});
}

Result<std::vector<std::int32_t>> ChatFormat::encode(std::span<const ChatMessage> messages) const {
  // Checked message by message: the offset in a rendered prompt would tell the user nothing.
  for (const ChatMessage& message : messages) {
    const auto valid = tokenizer_->encode(message.content, {.add_special_tokens = false, .parse_special = false});
    if (!valid) return forward_failure(valid, cat("the ", message.role, " message"));
  }
  Json list = Json::array();
  for (const ChatMessage& message : messages) list.push_back({{"role", message.role}, {"content", message.content}});
  ChatRequest request;
  request.messages = &list;
  return encode(request);
}

}  // namespace corbel
