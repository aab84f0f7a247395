#pragma once
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/named_files.h"
#include "corbel/base/result.h"

namespace corbel {

struct RenderOptions {
  std::optional<std::tm> now;  // the clock that strftime_now reads; the machine's local time when absent
};

/// A compiled chat template: Jinja as Hugging Face's apply_chat_template runs it (sandboxed, trim_blocks,
/// lstrip_blocks, loop controls). A template is untrusted code: parsing is bounded in depth, rendering in steps, depth,
/// memory and output. Immutable; any number of threads may render.
class ChatTemplate {
 public:
  /// `name` stands in messages ("chat_template.jinja"). Refuses what does not parse, with line and column.
  static Result<ChatTemplate> compile(std::string source, std::string name);

  /// `variables` is an object: messages, tools, add_generation_prompt, bos_token, ... Variables that a template expects
  /// and that are absent are undefined. Fails with the template's own message, or with what went wrong and where.
  Result<std::string> render(const Json& variables, const RenderOptions& options = {}) const;

  const std::string& source() const noexcept;
  const std::string& name() const noexcept;

 private:
  struct Compiled;
  explicit ChatTemplate(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}
  std::shared_ptr<const Compiled> compiled_;
};

/// The templates that come with a model, and the variables its tokenizer adds to them.
struct ChatTemplateSource {
  struct Named {
    std::string name;    // "default", "tool_use", ...
    std::string source;  // the template's text
    std::string file;    // where it was found
  };
  std::vector<Named> templates;  // empty: the folder has none
  // bos_token, eos_token, ...: names and texts to render with; those that the folder does not name are absent.
  std::vector<std::pair<std::string, std::string>> variables;

  /// The template of that name; without a name "default", or else the only one. Null where there is none.
  const Named* find(std::string_view name = {}) const;
};

/// Looks for chat_template.jinja, then chat_template.json, then tokenizer_config.json's "chat_template" (a
/// string, or a list of names and templates). Special tokens come from tokenizer_config.json, as strings or as objects
/// with "content". Where none of these files is there are no templates, which is no error.
Result<ChatTemplateSource> chat_template_source(const NamedFiles& files);
Result<ChatTemplateSource> chat_template_source(const std::filesystem::path& folder);

}  // namespace corbel
