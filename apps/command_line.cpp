#include "apps/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "apps/command.h"
#include "apps/terminal.h"
#include "corbel/base/cat.h"

namespace corbel::app {

struct CommandLine::Parser {
  CLI::App app;
  std::string name;
  std::string examples;
};

namespace {

/// "Could not convert: --port = abc" in our words; other texts as they are.
std::string conversion_text(std::string_view text) {
  constexpr std::string_view kBegin = "Could not convert: ";
  constexpr std::string_view kEquals = " = ";
  const std::size_t equals = text.find(kEquals);
  if (!text.starts_with(kBegin) || equals == std::string_view::npos) return std::string(text);
  return cat(text.substr(kBegin.size(), equals - kBegin.size()), " is ", text.substr(equals + kEquals.size()),
             "; it must be a number");
}

/// The first flag that a message names, with its place behind.
std::string placed_text(std::string text, const CommandLine::Place& place) {
  const std::size_t flag = text.find("--");
  if (!place || flag == std::string::npos) return text;
  const std::size_t end = std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", flag), text.size());
  return text.insert(end, place(std::string_view(text).substr(flag + 2, end - flag - 2)));
}

std::string option_name(std::string_view flag) { return flag.starts_with('-') ? std::string(flag) : cat("--", flag); }

}  // namespace

CommandLine::CommandLine(std::string_view command, std::string_view summary) : parser_(std::make_unique<Parser>()) {
  parser_->name = cat("corbel ", command);
  parser_->app.name(parser_->name);
  parser_->app.description(std::string(summary));
}
CommandLine::~CommandLine() = default;

void CommandLine::add(std::string_view flag, bool takes_value) {
  flags_.push_back({option_name(flag).substr(2), takes_value});
}

void CommandLine::text(std::string_view flag, std::string& value, std::string_view help) {
  add(flag, true);
  parser_->app.add_option(option_name(flag), value, std::string(help));
}
void CommandLine::texts(std::string_view flag, std::vector<std::string>& values, std::string_view help) {
  add(flag, true);
  parser_->app.add_option(option_name(flag), values, std::string(help))->allow_extra_args(false);
}
void CommandLine::number(std::string_view flag, std::optional<double>& value, std::string_view help) {
  add(flag, true);
  parser_->app.add_option(option_name(flag), value, std::string(help));
}
void CommandLine::integer(std::string_view flag, std::optional<std::int64_t>& value, std::string_view help) {
  add(flag, true);
  parser_->app.add_option(option_name(flag), value, std::string(help));
}
void CommandLine::toggle(std::string_view flag, bool& value, std::string_view help) {
  add(flag, false);
  parser_->app.add_flag(option_name(flag), value, std::string(help));
}
void CommandLine::choice(std::string_view flag, std::string& value, const std::vector<std::string>& allowed,
                         std::string_view help) {
  add(flag, true);
  parser_->app.add_option(option_name(flag), value, std::string(help))->check(CLI::IsMember(allowed));
}
void CommandLine::positionals(std::string_view name, std::vector<std::string>& values, std::string_view help) {
  parser_->app.add_option(std::string(name), values, std::string(help));
}
void CommandLine::example(std::string_view line) { parser_->examples += cat("  ", line, "\n"); }

std::optional<int> CommandLine::parse(const std::vector<std::string>& arguments, const Place& place) {
  std::vector<std::string> words;
  bool only_positionals = false;
  for (std::string word : arguments) {
    only_positionals = only_positionals || word == "--";
    if (!only_positionals && word.starts_with("--")) {
      for (std::size_t i = 2; i < word.size() && word[i] != '='; ++i) {
        if (word[i] == '_') word[i] = '-';
      }
    }
    words.push_back(std::move(word));
  }
  std::reverse(words.begin(), words.end());  // the parser takes them from the back
  if (!parser_->examples.empty()) parser_->app.footer("\nExamples:\n" + parser_->examples);
  try {
    parser_->app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return print(parser_->app.help()) ? kOk : kFailed;
  } catch (const CLI::Error& error) {
    print_error(
        cat(placed_text(conversion_text(error.what()), place), "; `", parser_->name, " --help` lists the flags"));
    return kWrongUsage;
  } catch (const std::exception& error) {
    print_error(error.what());
    return kWrongUsage;
  }
  return std::nullopt;
}

}  // namespace corbel::app
