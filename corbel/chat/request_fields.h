#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "corbel/chat/request_reader.h"

/// The fields of the bodies that requests have: one table, from which the readers' checks, docs/api_fields.md, the
/// OpenAPI file and whatever else describes the API are made.
namespace corbel {

/// Whose body a field belongs to.
enum class Api : std::uint16_t {
  chat = 1,             // POST /v1/chat/completions
  completions = 2,      // POST /v1/completions
  embeddings = 4,       // POST /v1/embeddings
  tokenize = 8,         // POST /tokenize
  detokenize = 16,      // POST /detokenize
  apply_template = 32,  // POST /apply-template
  simple_chat = 64,     // POST /chat
  replay = 128,         // POST /replay
  responses = 256,      // POST /v1/responses
  input_tokens = 512,   // POST /v1/responses/input_tokens
  messages = 1024,      // POST /v1/messages
  count_tokens = 2048,  // POST /v1/messages/count_tokens
};
struct ApiEntry {
  Api api;
  std::string_view name;  // "chat": as the documentation's table has it
  std::string_view path;
};
std::span<const ApiEntry> all_apis();

enum class FieldType { boolean, integer, number, text, list, object, text_or_list, text_or_object };
std::string_view field_type_name(FieldType type);

struct RequestField {
  enum class Use {
    honoured,
    about_caller,  // says something about who asks, and nothing about the answer
    warned,        // accepted, and the answer's "warnings" say that it changes nothing
    only,          // refused unless it is `only`, which asks for nothing
  };
  std::string_view name;
  FieldType type = FieldType::text;
  Use use = Use::honoured;
  double low = 0.0;  // of numbers and integers; both ends belong to the range
  double high = 0.0;
  bool low_is_open = false;          // but the lower one
  std::string_view fallback;         // what a field that is left out means
  std::string_view meaning;          // one line
  std::string_view from = "OpenAI";  // whose API has it
  std::string_view only;             // JSON, several values with " | " between them
  std::uint16_t apis = static_cast<std::uint16_t>(Api::chat) | static_cast<std::uint16_t>(Api::completions);

  bool belongs_to(Api api) const noexcept { return (apis & static_cast<std::uint16_t>(api)) != 0; }
  bool is_ranged() const noexcept { return low < high; }
};

/// All of them, by name. Two APIs may have fields of one name that are not the same.
std::span<const RequestField> all_request_fields();
/// Those of one API.
std::span<const RequestField> request_fields(Api api);

/// Fields that mean the same in every body that asks for an answer: what is made into a chat completion hands them on.
std::span<const std::string_view> passed_on_fields();

/// The body of a request to one API, whose fields were looked up in the table: every field is in it, has its type and
/// is in its range.
class RequestFields {
 public:
  /// Refuses, naming the field, what the table does not have or allow.
  static Result<RequestFields> make(const Json& body, Api api);

  const RequestReader& reader() const noexcept { return reader_; }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Json* find(std::string_view name) const;  // null: absent, or no field of this API
  double number(std::string_view name, double fallback) const;
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
  bool boolean(std::string_view name, bool fallback) const;
  std::string text(std::string_view name, std::string_view fallback) const;
  /// Texts for the answer's "warnings": what was accepted and changes nothing.
  std::vector<std::string> warnings() const;

 private:
  RequestFields(const Json& body, Api api) : api_(api), reader_(body, "") {}
  Api api_;
  RequestReader reader_;
};

/// docs/api_fields.md
std::string request_fields_page();
/// fuzz/chat_body.dict: the fields' names and the ends of their ranges, in libFuzzer's format.
std::string request_fields_dictionary();

}  // namespace corbel
