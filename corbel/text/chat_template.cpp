#include "corbel/text/chat_template.h"

#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_ast.h"
#include "corbel/text/jinja_interpreter.h"
#include "corbel/text/jinja_lexer.h"
#include "corbel/text/unicode.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxSourceBytes = 4 << 20;

jinja::Value to_value(const Json& json, int depth) {
  if (depth > 150) jinja::raise("the variables are nested deeper than 150");
  switch (json.type()) {
    case Json::value_t::object: {
      jinja::Dict dict;
      dict.items.reserve(json.size());
      for (const auto& [key, value] : json.items()) {
        dict.items.emplace_back(jinja::Value::text(key), to_value(value, depth + 1));
      }
      return jinja::Value::dict(std::move(dict));
    }
    case Json::value_t::array: {
      std::vector<jinja::Value> items;
      items.reserve(json.size());
      for (const Json& value : json) items.push_back(to_value(value, depth + 1));
      return jinja::Value::list(std::move(items));
    }
    case Json::value_t::string: {
      const std::string& text = json.get_ref<const std::string&>();
      // Every function of the interpreter relies on whole characters.
      return jinja::Value::text(valid_utf8_prefix(text) == text.size() ? text : replace_invalid_utf8(text));
    }
    case Json::value_t::boolean: return jinja::Value::boolean(json.get<bool>());
    case Json::value_t::number_integer: return jinja::Value::integer(json.get<std::int64_t>());
    case Json::value_t::number_unsigned: {
      const auto value = json.get<std::uint64_t>();
      if (value > static_cast<std::uint64_t>(INT64_MAX))
        jinja::raise(cat("the variables hold ", value, ", a whole number beyond 64 bits"));
      return jinja::Value::integer(static_cast<std::int64_t>(value));
    }
    case Json::value_t::number_float: return jinja::Value::real(json.get<double>());
    default: return jinja::Value::none();
  }
}

std::tm local_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm now{};
  localtime_r(&seconds, &now);
  return now;
}

}  // namespace

struct ChatTemplate::Compiled {
  std::string source;
  std::string name;
  jinja::Body body;
};

const std::string& ChatTemplate::source() const noexcept { return compiled_->source; }
const std::string& ChatTemplate::name() const noexcept { return compiled_->name; }

Result<ChatTemplate> ChatTemplate::compile(std::string source, std::string name) {
  if (source.size() > kMaxSourceBytes) {
    return fail(Code::bad_file, cat(name, ": a template of ", source.size(), " bytes; the limit is ", kMaxSourceBytes));
  }
  if (const std::size_t valid = valid_utf8_prefix(source); valid < source.size()) {
    return fail(Code::bad_file, cat(name, ": not valid UTF-8 at byte ", valid));
  }
  auto compiled = std::make_shared<Compiled>();
  try {
    compiled->body = jinja::parse(source);
  } catch (const jinja::SyntaxError& error) {
    return fail(Code::bad_file, cat(name, ":", error.line, ":", error.column, ": ", error.message));
  }
  compiled->source = std::move(source);
  compiled->name = std::move(name);
  return ChatTemplate(std::move(compiled));
}

Result<std::string> ChatTemplate::render(const Json& variables, const RenderOptions& options) const {
  if (!variables.is_object()) {
    return fail(Code::bad_request, cat(name(), ": the variables must be an object, found ", variables.type_name()));
  }
  jinja::Interpreter interpreter(jinja::Budget{}, options.now ? *options.now : local_now());
  try {
    auto globals = std::make_shared<jinja::Scope>();
    jinja::add_globals(*globals);
    auto scope = std::make_shared<jinja::Scope>();
    scope->parent = std::move(globals);
    for (const auto& [key, value] : variables.items()) scope->set(key, to_value(value, 0));
    return interpreter.render(compiled_->body, std::move(scope));
  } catch (const jinja::RenderError& error) {
    return fail(Code::bad_request,
                cat(name(), ":", interpreter.line(), ":", interpreter.column(), ": ", error.message));
  } catch (const std::exception& error) {
    return fail(Code::no_memory, cat(name(), ": rendering failed: ", error.what()));
  }
}

}  // namespace corbel
