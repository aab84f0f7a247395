#include <nlohmann/json.hpp>
#include <optional>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/json_lines.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/chat/answer_parser.h"

namespace corbel::app {

int run_parse(const std::vector<std::string>& arguments);

namespace {

constexpr std::size_t kMostAnswerBytes = std::size_t{256} << 20;
constexpr std::int64_t kMostTemplateBytes = 4 << 20;

struct ParseFlags {
  std::vector<std::string> models;
  std::string template_file, format, reasoning, tools;
  bool formats = false;
  bool jsonl = false;
  bool json = false;
};

std::string joined(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += cat(text.empty() ? "" : ", ", name);
  return text;
}

Result<AnswerFormat> format_of_template(const ParseFlags& flags) {
  Json variables = Json::object();
  if (!flags.template_file.empty()) {
    CORBEL_ASSIGN(std::string text, read_text_file(flags.template_file, kMostTemplateBytes));
    CORBEL_ASSIGN(const ChatTemplate compiled, ChatTemplate::compile(std::move(text), flags.template_file));
    return AnswerFormat::from_template(compiled, variables);
  }
  CORBEL_ASSIGN(const auto package, find_package(flags.models[0]));
  CORBEL_ASSIGN(const ChatTemplateSource source, chat_template_source(package->files()));
  const ChatTemplateSource::Named* named = source.find("tool_use");
  if (named == nullptr) named = source.find();
  if (named == nullptr) {
    return fail(Code::bad_file,
                cat(package->description(), ": no chat template tells its format; name one with --format (",
                    joined(AnswerFormat::names()), ")"));
  }
  for (const auto& [name, text] : source.variables) variables[name] = text;
  CORBEL_ASSIGN(const ChatTemplate compiled, ChatTemplate::compile(named->source, named->file));
  return AnswerFormat::from_template(compiled, variables);
}

Result<AnswerFormat> choose_format(const ParseFlags& flags) {
  if (flags.format.empty()) return format_of_template(flags);
  return AnswerFormat::by_name(flags.format, flags.reasoning.empty() ? "think_tags" : flags.reasoning);
}

Json answer_json(const ParsedAnswer& answer) {
  Json calls = Json::array();
  for (const ToolCall& call : answer.tool_calls) {
    Json one = {{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
    if (!call.id.empty()) one["id"] = call.id;
    calls.push_back(std::move(one));
  }
  Json json = {{"content", answer.content}, {"reasoning_content", answer.reasoning}, {"tool_calls", std::move(calls)}};
  if (!answer.notes.empty()) json["notes"] = answer.notes;
  return json;
}

std::string answer_text(const ParsedAnswer& answer) {
  std::string text;
  if (!answer.reasoning.empty()) text += cat("reasoning\n  ", answer.reasoning, "\n");
  if (!answer.content.empty()) text += cat("content\n  ", answer.content, "\n");
  for (const ToolCall& call : answer.tool_calls) {
    text += cat("call ", call.name, call.id.empty() ? "" : " (id " + call.id + ")", "\n  ", call.arguments, "\n");
  }
  for (const std::string& note : answer.notes) text += cat("note: ", note, "\n");
  return text.empty() ? "nothing: the answer is empty\n" : text;
}

Result<Json> answer_line(const AnswerFormat& format, const Json* tools, const JsonFields& line) {
  CORBEL_ASSIGN(const std::string text, line.require_string("text"));
  CORBEL_ASSIGN(const std::string prompt, line.get_string("prompt", ""));
  const Json& row = line.json();
  if (line.has("tools")) tools = &row["tools"];
  if (tools != nullptr && !tools->is_array()) {
    return fail(Code::bad_request, cat(line.source(), ": \"tools\" must be an array"));
  }
  return answer_json(parse_answer(text, format, {.prompt = prompt, .tools = tools}));
}

int parse(const ParseFlags& flags) {
  const auto format = choose_format(flags);
  if (!format) {
    print_error(format.error().message);
    return flags.format.empty() ? kFailed : kWrongUsage;
  }
  std::optional<Json> tools;
  if (!flags.tools.empty()) {
    auto read = read_json_file(flags.tools);
    if (!read) return report(read.error());
    if (!read->is_array()) {
      print_error(cat(flags.tools, ": expected an array of tools, found ", read->type_name()));
      return kFailed;
    }
    tools = *std::move(read);
  }
  const Json* known_tools = tools ? &*tools : nullptr;
  if (flags.formats) return print(format->description() + "\n") ? kOk : kFailed;
  if (flags.jsonl) {
    return answer_json_lines([&](const JsonFields& line) { return answer_line(*format, known_tools, line); });
  }
  const auto text = read_standard_input("the answer", kMostAnswerBytes);
  if (!text) return report(text.error());
  const ParsedAnswer answer = parse_answer(*text, *format, {.tools = known_tools});
  const std::string shown = flags.json ? answer_json(answer).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"
                                       : answer_text(answer);
  return print(shown) ? kOk : kFailed;
}

}  // namespace

int run_parse(const std::vector<std::string>& arguments) {
  ParseFlags flags;
  CommandLine line("parse",
                   "Takes a model's answer on standard input apart: what it thinks, says, and wants to have called.");
  line.positionals("model", flags.models, "whose chat template tells how its calls look");
  line.text("--template", flags.template_file, "a Jinja file that tells it");
  line.text("--format", flags.format, cat("the format's name instead: ", joined(AnswerFormat::names())));
  line.text("--reasoning", flags.reasoning,
            cat("with --format, the markers of thoughts: ", joined(AnswerFormat::reasoning_names())));
  line.text("--tools", flags.tools, "JSON: an array of the tools that the model was given");
  line.toggle("--show-format", flags.formats, "print what the template tells, and parse nothing");
  line.toggle("--json", flags.json, "one JSON object, as in a chat completion's message");
  line.toggle("--jsonl", flags.jsonl, "lines {\"text\", \"tools\", \"prompt\"} in, such objects out");
  line.example("corbel parse ~/models/Qwen3-0.6B < answer.txt");
  line.example("corbel parse --format json_in_tags --json < answer.txt");
  if (const auto code = line.parse(arguments)) return *code;
  const auto ways = flags.models.size() + (flags.template_file.empty() ? 0 : 1) + (flags.format.empty() ? 0 : 1);
  if (ways != 1) {
    print_error("one way to know the format, please: corbel parse MODEL, --template FILE or --format NAME");
    return kWrongUsage;
  }
  if (!flags.reasoning.empty() && flags.format.empty()) {
    print_error("--reasoning goes with --format; a template tells its own markers");
    return kWrongUsage;
  }
  return parse(flags);
}

}  // namespace corbel::app
