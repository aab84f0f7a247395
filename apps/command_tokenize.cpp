#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/command_line.h"
#include "apps/environment.h"
#include "apps/json_lines.h"
#include "apps/terminal.h"
#include "corbel/base/quote.h"
#include "corbel/text/tokenizer.h"
#include "corbel/text/unicode.h"

namespace corbel::app {

int run_tokenize(const std::vector<std::string>& arguments);

namespace {

constexpr std::size_t kMostTextBytes = std::size_t{1} << 30;
using Ids = std::vector<std::int32_t>;

struct TokenizeFlags {
  std::vector<std::string> words;  // MODEL [TEXT]
  bool jsonl = false;
  bool json = false;
  bool decode = false;
  bool no_special = false;
  bool plain = false;
  bool keep_special = false;
};

/// A folder or file with a tokenizer in it, or what the other commands take for a model.
Result<Tokenizer> load_tokenizer(const std::string& name) {
  CORBEL_ASSIGN(const std::filesystem::path path, find_model(name));
  // A file is a tokenizer of any kind; GGUF files are among them, and need no model that can be run.
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored) && path.extension() != kArtifactExtension)
    return Tokenizer::load(path);
  CORBEL_ASSIGN(const auto package, open_model_package(path));
  return Tokenizer::load(package->files());
}

/// As a person reads it in one line: control characters and bytes that form no character as \xHH.
std::string visible(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    const std::string_view part = bytes.substr(0, step.bytes);
    const auto first = static_cast<unsigned char>(part[0]);
    if (step.state == Utf8State::complete && first >= 0x20 && first != 0x7F) {
      out += part;
    } else if (part == "\n") {
      out += "\\n";
    } else if (part == "\t") {
      out += "\\t";
    } else {
      for (const char byte : part) {
        char text[8];
        std::snprintf(text, sizeof text, "\\x%02X", static_cast<unsigned char>(byte));
        out += text;
      }
    }
    bytes.remove_prefix(step.bytes);
  }
  return out;
}

std::string token_text(const Tokenizer& tokenizer, std::int32_t id) {
  std::string bytes;
  tokenizer.append_bytes(id, false, bytes);
  return bytes;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

/// The text with its tokens told apart: by two colours on a terminal, by bars in a file.
std::string ribbon(const Tokenizer& tokenizer, const Ids& ids) {
  std::string out;
  const bool coloured = output_is_terminal() && environment("NO_COLOR").empty();
  bool odd = false;
  for (const std::int32_t id : ids) {
    if (coloured) {
      out += cat(odd ? "\x1b[48;5;24m" : "\x1b[48;5;58m", visible(token_text(tokenizer, id)), "\x1b[0m");
    } else {
      out += cat(out.empty() ? "" : "|", visible(token_text(tokenizer, id)));
    }
    odd = !odd;
  }
  return out + "\n";
}

std::string table(const Tokenizer& tokenizer, const Ids& ids, std::string_view text) {
  std::string out = ids.empty() ? "" : ribbon(tokenizer, ids) + "\n";
  if (!ids.empty()) out += "      id  piece\n";
  for (const std::int32_t id : ids) {
    char number[16];
    std::snprintf(number, sizeof number, "%8d", id);
    out += cat(number, "  ", visible(tokenizer.piece(id)), tokenizer.is_special(id) ? "   (special)" : "", "\n");
  }
  const std::size_t characters = count_characters(text);
  char ratio[48] = "";
  if (!ids.empty() && !text.empty()) {
    std::snprintf(ratio, sizeof ratio, ", %.2f bytes per token",
                  static_cast<double>(text.size()) / static_cast<double>(ids.size()));
  }
  return cat(out, ids.empty() ? "" : "\n", ids.size(), ids.size() == 1 ? " token, " : " tokens, ", characters,
             characters == 1 ? " character, " : " characters, ", text.size(), text.size() == 1 ? " byte" : " bytes",
             ratio, "\n");
}

Json pieces_json(const Tokenizer& tokenizer, const Ids& ids) {
  Json pieces = Json::array();
  for (const std::int32_t id : ids) pieces.push_back(std::string(tokenizer.piece(id)));
  return pieces;
}

Result<Json> answer_line(const Tokenizer& tokenizer, const TokenizeFlags& flags, const JsonFields& line) {
  if (line.has("ids") && !line.has("text")) {
    CORBEL_ASSIGN(const std::vector<std::int64_t> wide, line.get_ints("ids"));
    Ids ids;
    for (const std::int64_t id : wide) {
      if (id < 0 || id > INT32_MAX) return fail(Code::bad_request, cat(line.source(), ": ", id, " is no token id"));
      ids.push_back(static_cast<std::int32_t>(id));
    }
    return Json{{"decoded", tokenizer.decode(ids)},
                {"decoded_keep_special", tokenizer.decode(ids, {.skip_special = false})}};
  }
  CORBEL_ASSIGN(const std::string text, line.require_string("text"));
  CORBEL_ASSIGN(const Ids ids, tokenizer.encode(text, {.parse_special = !flags.plain}));
  CORBEL_ASSIGN(const Ids bare, tokenizer.encode(text, {.add_special_tokens = false, .parse_special = !flags.plain}));
  return Json{{"ids", ids}, {"ids_no_special", bare}, {"decoded", tokenizer.decode(ids)}};
}

/// Ids as people paste them: "1 2 3", "1,2,3", "[1, 2, 3]".
Result<Ids> parse_ids(std::string_view text) {
  Ids ids;
  constexpr std::string_view kBetween = " \t\r\n,[]";
  for (std::size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;
       at = text.find_first_not_of(kBetween, at)) {
    const std::string_view word = text.substr(at, text.find_first_of(kBetween, at) - at);
    std::int32_t id = 0;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), id);
    if (end.ec != std::errc() || end.ptr != word.data() + word.size() || id < 0) {
      return fail(Code::bad_request, cat(quote(word), " is no token id; ids are whole numbers, as in 1 2 3"));
    }
    ids.push_back(id);
    at += word.size();
  }
  return ids;
}

int show_decoded(const Tokenizer& tokenizer, const TokenizeFlags& flags, std::string_view words) {
  const auto ids = parse_ids(words);
  if (!ids) return report(ids.error());
  for (const std::int32_t id : *ids) {
    if (tokenizer.has(id)) continue;
    print_error(cat("id ", id, " has no token; the vocabulary's largest id is ", tokenizer.vocab_size() - 1));
    return kFailed;
  }
  const std::string text = tokenizer.decode(*ids, {.skip_special = !flags.keep_special});
  if (!flags.json) return print(text + "\n") ? kOk : kFailed;
  const Json json = {{"text", text}, {"ids", *ids}, {"pieces", pieces_json(tokenizer, *ids)}};
  return print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n") ? kOk : kFailed;
}

int show_encoded(const Tokenizer& tokenizer, const TokenizeFlags& flags, const std::string& text) {
  const auto ids = tokenizer.encode(text, {.add_special_tokens = !flags.no_special, .parse_special = !flags.plain});
  if (!ids) return report(ids.error());
  if (!flags.json) return print(table(tokenizer, *ids, text)) ? kOk : kFailed;
  const Json json = {{"ids", *ids},
                     {"pieces", pieces_json(tokenizer, *ids)},
                     {"tokens", ids->size()},
                     {"characters", count_characters(text)},
                     {"bytes", text.size()}};
  return print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n") ? kOk : kFailed;
}

int tokenize(const TokenizeFlags& flags) {
  const auto tokenizer = load_tokenizer(flags.words.empty() ? "" : flags.words[0]);
  if (!tokenizer) return report(tokenizer.error());
  if (flags.jsonl) {
    return answer_json_lines([&](const JsonFields& line) { return answer_line(*tokenizer, flags, line); });
  }
  std::string text;
  if (flags.words.size() == 2) {
    text = flags.words[1];
  } else {
    auto read = read_standard_input("the text", kMostTextBytes);
    if (!read) return report(read.error());
    text = *std::move(read);
  }
  return flags.decode ? show_decoded(*tokenizer, flags, text) : show_encoded(*tokenizer, flags, text);
}

}  // namespace

int run_tokenize(const std::vector<std::string>& arguments) {
  TokenizeFlags flags;
  CommandLine line("tokenize", "Shows what a model's tokenizer makes of a text: pieces, ids, counts. Or text of ids.");
  line.positionals(
      "model text", flags.words,
      "a folder or file with a tokenizer, or a model's name; then the text (none: standard input, as it is)");
  line.toggle("--jsonl", flags.jsonl,
              "lines {\"text\"} in, lines {\"ids\", \"ids_no_special\", \"decoded\"} out; {\"ids\"} gives \"decoded\"");
  line.toggle("--json", flags.json, "one JSON object instead of the table");
  line.toggle("--decode", flags.decode, "the text is ids: 1 2 3 or [1, 2, 3]");
  line.toggle("--no-special", flags.no_special, "without the tokens that the tokenizer puts around a text");
  line.toggle("--plain", flags.plain, "special tokens spelled in the text are plain text");
  line.toggle("--keep-special", flags.keep_special, "with --decode: show special tokens, too");
  line.example("corbel tokenize ~/models/Qwen3-0.6B \"Hello, world\"");
  line.example("corbel tokenize pico --decode 1 2 3 --json");
  line.example("corbel tokenize tokenizer.model --jsonl < texts.jsonl");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.words.empty()) {
    print_error("which tokenizer? corbel tokenize MODEL [TEXT]; the built-in model is called pico");
    return kWrongUsage;
  }
  if (flags.keep_special && !flags.decode) {
    print_error("--keep-special goes with --decode");
    return kWrongUsage;
  }
  if (flags.no_special && (flags.decode || flags.jsonl)) {
    print_error("--no-special shows one text without them; --jsonl gives both, --decode leaves them out by itself");
    return kWrongUsage;
  }
  if (flags.plain && flags.decode) {
    print_error("--plain is about reading a text; it does not go with --decode");
    return kWrongUsage;
  }
  if (flags.decode) {
    for (std::size_t i = 2; i < flags.words.size(); ++i) flags.words[1] += " " + flags.words[i];
    flags.words.resize(std::min<std::size_t>(flags.words.size(), 2));
  }
  if (flags.words.size() > 2) {
    print_error(cat("the text is one argument; found ", flags.words.size() - 1, ". Put it in quotation marks"));
    return kWrongUsage;
  }
  if (flags.jsonl && (flags.json || flags.decode || flags.words.size() > 1)) {
    print_error("--jsonl reads lines from standard input; it goes with neither a text, --json nor --decode");
    return kWrongUsage;
  }
  return tokenize(flags);
}

}  // namespace corbel::app
