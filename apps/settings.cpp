#include "apps/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "apps/environment.h"
#include "corbel/base/json.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

struct Entry {
  std::string name;  // as a flag, without dashes
  std::vector<std::string> values;
  std::string origin;
};

std::string trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(kBlank) - begin + 1));
}

std::string flag_name(std::string_view text) {
  std::string name(text);
  for (char& c : name) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Result<std::vector<Entry>> read_json_entries(const std::string& text, const std::string& path) {
  CORBEL_ASSIGN(const Json json, parse_json(text, path));
  std::vector<Entry> entries;
  for (const auto& [key, value] : json.items()) {
    Entry entry{flag_name(key), {}, path};
    if (value.is_object() || value.is_null())
      return fail(Code::bad_file, cat(path, ": ", quote(key), " must be a text, a number, true, false or a list"));
    if (value.is_array()) {
      for (const Json& item : value) entry.values.push_back(text_of(item));
    } else {
      entry.values.push_back(text_of(value));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<std::vector<Entry>> read_lines(const std::string& text, const std::string& path) {
  std::vector<Entry> entries;
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = trim(std::string_view(text).substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos)
      return fail(Code::bad_file, cat(path, ':', number, ": ", quote(line), " is no \"name = value\""));
    std::string value = trim(std::string_view(line).substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    const std::string name = flag_name(trim(std::string_view(line).substr(0, equals)));
    const auto same = std::ranges::find(entries, name, &Entry::name);
    if (same != entries.end()) {
      same->values.push_back(std::move(value));
    } else {
      entries.push_back({name, {std::move(value)}, cat(path, ':', number)});
    }
  }
  return entries;
}

Result<std::vector<Entry>> read_file(const std::string& path) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 20;
  CORBEL_ASSIGN(const std::string text, read_text_file(path, kMostBytes));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string::npos && text[first] == '{' ? read_json_entries(text, path) : read_lines(text, path);
}

std::vector<Entry> read_environment(std::string_view prefix) {
  std::vector<Entry> entries;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view pair(*at);
    const std::size_t equals = pair.find('=');
    if (!pair.starts_with(prefix) || equals == std::string_view::npos || equals + 1 == pair.size()) continue;
    const std::string_view variable = pair.substr(0, equals);
    entries.push_back(
        {flag_name(variable.substr(prefix.size())), {std::string(pair.substr(equals + 1))}, std::string(variable)});
  }
  return entries;
}

/// What the command line itself has: flags by name, and whether a word stands without dashes.
struct Given {
  std::vector<std::string> flags;
  std::string config;
  bool has_positional = false;

  Given(const std::vector<std::string>& words, const std::vector<CommandLine::Flag>& known) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      if (word == "--") {
        has_positional = has_positional || i + 1 < words.size();
        return;
      }
      if (!word.starts_with("-") || word == "-") {
        has_positional = true;
        continue;
      }
      const std::size_t equals = std::min(word.find('='), word.size());
      const std::string name =
          flag_name(word.substr(std::min<std::size_t>(2, word.size()), equals - std::min<std::size_t>(2, equals)));
      flags.push_back(name);
      const auto flag = std::ranges::find(known, name, &CommandLine::Flag::name);
      const bool takes_next = flag != known.end() && flag->takes_value && equals == word.size();
      const std::string value =
          takes_next ? (i + 1 < words.size() ? words[i + 1] : "") : word.substr(std::min(equals + 1, word.size()));
      if (name == "config") config = value;
      if (takes_next) ++i;
    }
  }
  bool has(std::string_view name) const { return std::ranges::find(flags, name) != flags.end(); }
};

Result<bool> is_on(const Entry& entry) {
  const std::string value = entry.values.empty() ? std::string() : flag_name(entry.values.back());
  for (const std::string_view on : {"true", "1", "yes", "on"})
    if (value == on) return true;
  for (const std::string_view off : {"false", "0", "no", "off"})
    if (value == off) return false;
  return fail(Code::bad_request, cat(entry.origin, ": ", entry.name, " is ", quote(value), "; expected true or false"));
}

Result<void> add(const std::vector<Entry>& entries, const Given& given, const std::vector<CommandLine::Flag>& flags,
                 Settings& settings) {
  for (const Entry& entry : entries) {
    if (entry.name == "model") {
      if (given.has_positional || !settings.origins.emplace(entry.name, entry.origin).second) continue;
      settings.words.insert(settings.words.begin(), entry.values.begin(), entry.values.end());
      continue;
    }
    const auto flag = std::ranges::find(flags, entry.name, &CommandLine::Flag::name);
    if (flag == flags.end())
      return fail(Code::bad_request, cat(entry.origin, ": there is no setting ", quote(entry.name),
                                         "; `corbel serve --help` lists the flags, which are the settings"));
    if (given.has(entry.name) || !settings.origins.emplace(entry.name, entry.origin).second) continue;
    std::vector<std::string> words;
    if (flag->takes_value) {
      for (const std::string& value : entry.values) words.push_back(cat("--", entry.name, '=', value));
    } else {
      CORBEL_ASSIGN(const bool on, is_on(entry));
      if (on) words.push_back(cat("--", entry.name));
    }
    settings.words.insert(settings.words.begin(), words.begin(), words.end());
  }
  return {};
}

}  // namespace

std::string Settings::origin(std::string_view flag) const {
  const auto found = origins.find(flag);
  return found == origins.end() ? std::string() : cat(" (", found->second, ')');
}

Result<Settings> read_settings(const std::vector<std::string>& words, const std::vector<CommandLine::Flag>& flags,
                               std::string_view prefix) {
  Settings settings{words, {}};
  const Given given(words, flags);
  const std::vector<Entry> variables = read_environment(prefix);
  CORBEL_TRY(add(variables, given, flags, settings));
  std::string config = given.config;
  const auto variable = std::ranges::find(variables, "config", &Entry::name);
  if (config.empty() && variable != variables.end()) config = variable->values.front();
  if (config.empty()) return settings;
  CORBEL_ASSIGN(const std::vector<Entry> entries, read_file(config));
  CORBEL_TRY(add(entries, given, flags, settings));
  return settings;
}

}  // namespace corbel::app
