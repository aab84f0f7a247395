#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/json_lines.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/text/chat_template.h"
#include "corbel/text/tokenizer.h"

namespace corbel::app {

int run_template(const std::vector<std::string>& arguments);

namespace {

constexpr std::size_t kMostMessagesBytes = 256 << 20;
constexpr std::int64_t kMostTemplateBytes = 4 << 20;

struct TemplateFlags {
  std::vector<std::string> models;
  std::string template_file;
  std::string name;
  std::string messages;
  std::string tools;
  std::vector<std::string> extra;
  std::string now;
  bool jsonl = false;
  bool json = false;
  bool tokens = false;
  bool no_generation_prompt = false;
};

/// A template, or for a line that brings its own none yet, and what to render it with.
struct Prepared {
  std::shared_ptr<const ModelPackage> package;  // null without a model
  ChatTemplateSource source;
  std::vector<std::pair<std::string, ChatTemplate>> compiled;  // by name
  Json variables = Json::object();                             // bos_token, ... and --extra
  RenderOptions options;
};

/// "2026-01-02 03:04:05" (a T in the middle is fine, too), of any place: templates print it, nothing more.
Result<std::tm> parse_clock(const std::string& text) {
  std::tm clock{};
  const char* end = nullptr;
  for (const char* format : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"}) {
    clock = {};
    end = strptime(text.c_str(), format, &clock);
    if (end != nullptr && *end == '\0') break;
  }
  std::tm normal = clock;
  const bool read = end != nullptr && *end == '\0' && timegm(&normal) != -1;
  if (!read || normal.tm_mday != clock.tm_mday || normal.tm_hour != clock.tm_hour || normal.tm_sec != clock.tm_sec) {
    return fail(Code::bad_request, cat("\"now\" is ", quote(text), "; a time looks like 2026-01-02 03:04:05"));
  }
  return normal;
}

Result<void> compile_into(Prepared& prepared, const ChatTemplateSource::Named& named) {
  CORBEL_ASSIGN(ChatTemplate compiled, ChatTemplate::compile(named.source, named.file));
  prepared.compiled.emplace_back(named.name, std::move(compiled));
  return {};
}

std::string place_of(const Prepared& prepared) {
  return prepared.package == nullptr ? std::string() : prepared.package->description();
}

std::string names_of(const Prepared& prepared) {
  std::string names;
  for (const auto& [name, compiled] : prepared.compiled) names += cat(names.empty() ? "" : ", ", quote(name));
  return names;
}

/// The one asked for; else, with tools, the one made for them; else "default" or the only one.
Result<const ChatTemplate*> choose(const Prepared& prepared, std::string_view wanted, bool with_tools) {
  for (const std::string_view name :
       {wanted, std::string_view(with_tools ? "tool_use" : ""), std::string_view("default")}) {
    if (name.empty()) continue;
    for (const auto& [known, compiled] : prepared.compiled) {
      if (known == name) return &compiled;
    }
    if (name == wanted) break;
  }
  if (wanted.empty() && prepared.compiled.size() == 1) return &prepared.compiled.front().second;
  if (prepared.compiled.empty()) {
    return fail(Code::bad_file,
                cat(place_of(prepared),
                    ": no chat template (chat_template.jinja, tokenizer_config.json \"chat_template\"); "
                    "corbel chat talks in \"User: ... Assistant:\" lines then"));
  }
  return fail(Code::bad_request,
              cat(place_of(prepared), ": no template is named ", quote(wanted), "; there are ", names_of(prepared)));
}

Result<void> read_extra(const std::vector<std::string>& extra, Json& variables) {
  for (const std::string& pair : extra) {
    const std::size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return fail(Code::bad_request, cat("--extra is ", quote(pair), "; it looks like enable_thinking=false"));
    }
    const std::string key = pair.substr(0, equals);
    const std::string text = pair.substr(equals + 1);
    // What is no JSON is a string, so that nobody has to quote quotation marks.
    auto value = parse_json(text, cat("--extra ", key));
    variables[key] = value ? *std::move(value) : Json(text);
  }
  return {};
}

Result<Prepared> prepare(const TemplateFlags& flags) {
  Prepared prepared;
  std::string clock = flags.now.empty() ? environment("CORBEL_NOW") : flags.now;
  if (!clock.empty()) {
    CORBEL_ASSIGN(prepared.options.now, parse_clock(clock));
  }
  if (!flags.models.empty()) {
    CORBEL_ASSIGN(prepared.package, find_package(flags.models[0]));
    CORBEL_ASSIGN(prepared.source, chat_template_source(prepared.package->files()));
    for (const auto& [name, text] : prepared.source.variables) prepared.variables[name] = text;
  }
  if (!flags.template_file.empty()) {
    CORBEL_ASSIGN(std::string text, read_text_file(flags.template_file, kMostTemplateBytes));
    CORBEL_TRY(compile_into(prepared, {"default", std::move(text), flags.template_file}));
  } else {
    for (const ChatTemplateSource::Named& named : prepared.source.templates) {
      CORBEL_TRY(compile_into(prepared, named));
    }
  }
  CORBEL_TRY(read_extra(flags.extra, prepared.variables));
  return prepared;
}

/// As apply_chat_template passes them: tools and documents are None when there are none.
Json variables_of(const Json& base, const Json& messages, const Json& tools, bool generation_prompt) {
  Json variables = base;
  variables["messages"] = messages;
  variables["tools"] = tools;
  if (!variables.contains("documents")) variables["documents"] = nullptr;
  variables["add_generation_prompt"] = generation_prompt;
  return variables;
}

/// A template that fails gives {"error"}, which is an answer; a line that cannot be read fails.
Result<Json> answer_line(const TemplateFlags& flags, const Prepared& prepared, const JsonFields& line) {
  const Json& row = line.json();
  if (!row.is_object() || !row.contains("messages") || !row["messages"].is_array()) {
    return fail(Code::bad_request, cat(line.source(), ": \"messages\" must be an array of messages"));
  }
  const Json tools = row.contains("tools") ? row["tools"] : Json();
  if (!tools.is_null() && !tools.is_array()) {
    return fail(Code::bad_request, cat(line.source(), ": \"tools\" must be an array or null"));
  }
  CORBEL_ASSIGN(const bool generation_prompt, line.get_bool("add_generation_prompt", false));
  CORBEL_ASSIGN(const std::string clock, line.get_string("now", ""));
  RenderOptions options = prepared.options;
  if (!clock.empty()) {
    CORBEL_ASSIGN(options.now, parse_clock(clock));
  }
  Json base = prepared.variables;
  if (line.has("extra")) {
    CORBEL_ASSIGN(const JsonFields extra, line.object("extra"));
    for (const auto& [key, value] : extra.json().items()) base[key] = value;
  }
  const Json variables = variables_of(base, row["messages"], tools, generation_prompt);
  const auto rendered = [&]() -> Result<std::string> {
    if (prepared.compiled.empty() && prepared.package == nullptr) {
      CORBEL_ASSIGN(const std::string source, line.require_string("source"));
      CORBEL_ASSIGN(const ChatTemplate own, ChatTemplate::compile(source, "source"));
      return own.render(variables, options);
    }
    CORBEL_ASSIGN(const ChatTemplate* chosen, choose(prepared, flags.name, tools.is_array() && !tools.empty()));
    return chosen->render(variables, options);
  }();
  return rendered ? Json{{"prompt", *rendered}} : Json{{"error", rendered.error().message}};
}

Result<Json> read_json_argument(const std::string& path) {
  if (path != "-") return read_json_file(path);
  CORBEL_ASSIGN(const std::string text, read_standard_input("the messages", kMostMessagesBytes));
  return parse_json(text, "standard input");
}

/// The messages and tools of the flags: a list each, or a request {"messages", "tools"} as servers take it.
Result<void> read_conversation(const TemplateFlags& flags, Json& messages, Json& tools) {
  CORBEL_ASSIGN(Json found, read_json_argument(flags.messages));
  if (found.is_object() && found.contains("messages")) {
    if (found.contains("tools")) tools = found["tools"];
    messages = found["messages"];
  } else {
    messages = std::move(found);
  }
  if (!messages.is_array()) {
    return fail(Code::bad_request, cat(flags.messages,
                                       ": expected an array of messages, or an object with "
                                       "\"messages\"; found ",
                                       messages.type_name()));
  }
  if (!flags.tools.empty()) {
    CORBEL_ASSIGN(tools, read_json_argument(flags.tools));
  }
  if (!tools.is_null() && !tools.is_array()) {
    return fail(Code::bad_request, cat(flags.tools.empty() ? flags.messages : flags.tools,
                                       ": expected an array of tools, found ", tools.type_name()));
  }
  return {};
}

/// For a terminal: control characters, which a template may print, cannot steer it.
std::string harmless(std::string_view text) {
  std::string out;
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if ((code >= 0x20 && code != 0x7F) || byte == '\n' || byte == '\t') {
      out.push_back(byte);
    } else {
      char shown[8];
      std::snprintf(shown, sizeof shown, "\\x%02X", code);
      out += shown;
    }
  }
  return out;
}

std::string one_line(std::string_view piece) {
  std::string out;
  for (const char c : harmless(piece)) out += c == '\n' ? std::string("\\n") : c == '\t' ? "\\t" : std::string(1, c);
  return out;
}

int show(const TemplateFlags& flags, const Prepared& prepared) {
  Json messages;
  Json tools;
  if (const auto read = read_conversation(flags, messages, tools); !read) return report(read.error());
  const auto chosen = choose(prepared, flags.name, tools.is_array() && !tools.empty());
  if (!chosen) return report(chosen.error());
  const Json variables = variables_of(prepared.variables, messages, tools, !flags.no_generation_prompt);
  const auto prompt = (*chosen)->render(variables, prepared.options);
  if (!prompt) return report(prompt.error());
  Json json = {{"prompt", *prompt}};
  std::string shown = output_is_terminal() ? harmless(*prompt) : *prompt;
  if (!shown.ends_with('\n')) shown += '\n';
  if (flags.tokens) {
    const auto tokenizer = Tokenizer::load(prepared.package->files());
    if (!tokenizer) return report(tokenizer.error());
    const auto ids = tokenizer->encode(*prompt, {.add_special_tokens = false, .parse_control = true});
    if (!ids) return report(ids.error());
    Json pieces = Json::array();
    shown += "\n      id  piece\n";
    for (const std::int32_t id : *ids) {
      std::string bytes;
      tokenizer->append_bytes(id, false, bytes);
      pieces.push_back(std::string(tokenizer->piece(id)));
      char number[16];
      std::snprintf(number, sizeof number, "%8d", id);
      shown += cat(number, "  ", one_line(bytes), tokenizer->is_special(id) ? "   (special)" : "", "\n");
    }
    shown += cat("\n", ids->size(), ids->size() == 1 ? " token\n" : " tokens\n");
    json["ids"] = *ids;
    json["pieces"] = std::move(pieces);
  }
  if (flags.json) shown = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return print(shown) ? kOk : kFailed;
}

/// A message for what cannot be asked together; empty when all is well.
std::string_view usage_error(const TemplateFlags& flags) {
  const bool shows = !flags.messages.empty() || !flags.tools.empty() || flags.json || flags.tokens;
  if (flags.models.size() > 1) return "one model at a time";
  if (flags.jsonl && (shows || flags.no_generation_prompt)) {
    return "--jsonl reads lines from standard input; --messages, --tools, --json, --tokens and --no-generation-prompt "
           "show one prompt";
  }
  if (flags.jsonl) return {};
  if (flags.messages.empty()) return "which messages? --messages FILE, or - for standard input; or --jsonl";
  if (flags.messages == "-" && flags.tools == "-") return "only one of --messages and --tools can be standard input";
  if (flags.models.empty() && flags.template_file.empty()) {
    return "which template? corbel template MODEL, or --template FILE; the built-in model is called pico";
  }
  if (flags.tokens && flags.models.empty()) return "--tokens needs a MODEL, whose tokenizer cuts the prompt";
  return {};
}

}  // namespace

int run_template(const std::vector<std::string>& arguments) {
  TemplateFlags flags;
  CommandLine line("template", "Shows the prompt that a model's chat template makes of messages.");
  line.positionals("model", flags.models, "a folder with a chat template, or a model's name");
  line.text("--template", flags.template_file, "a Jinja file in place of the model's own template");
  line.text("--name", flags.name, "which one of a model's several templates (none: tool_use with tools, else default)");
  line.text("--messages", flags.messages,
            "JSON: an array of messages, or an object with \"messages\" and \"tools\"; - is standard input");
  line.text("--tools", flags.tools, "JSON: an array of tools");
  line.texts("--extra", flags.extra, "KEY=JSON, a variable of the template (what is no JSON is a string)");
  line.toggle("--no-generation-prompt", flags.no_generation_prompt, "do not open the assistant's answer");
  line.toggle("--tokens", flags.tokens, "the prompt's token ids and pieces, too");
  line.toggle("--json", flags.json, "one JSON object: \"prompt\", with --tokens \"ids\" and \"pieces\"");
  line.toggle(
      "--jsonl", flags.jsonl,
      "lines {\"messages\", \"tools\", \"add_generation_prompt\", \"extra\", \"now\"} in, lines {\"prompt\"} or "
      "{\"error\"} out; without MODEL and --template a line brings its own: \"source\"");
  line.text("--now", flags.now,
            "the time that strftime_now tells: \"2026-01-02 03:04:05\" (or CORBEL_NOW; a line's \"now\" comes first)");
  line.example("corbel template ~/models/Qwen3-0.6B --messages talk.json --tokens --extra enable_thinking=false");
  line.example("corbel template --template chat_template.jinja --jsonl < conversations.jsonl");
  if (const auto code = line.parse(arguments)) return *code;
  if (const std::string_view wrong = usage_error(flags); !wrong.empty()) {
    print_error(wrong);
    return kWrongUsage;
  }
  const auto prepared = prepare(flags);
  if (!prepared) return report(prepared.error());
  if (!flags.jsonl) return show(flags, *prepared);
  return answer_json_lines([&](const JsonFields& fields) { return answer_line(flags, *prepared, fields); });
}

}  // namespace corbel::app
