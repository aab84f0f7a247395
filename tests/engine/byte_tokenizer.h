#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "corbel/base/json.h"
#include "corbel/text/byte_chars.h"
#include "corbel/text/tokenizer.h"

namespace corbel {

inline constexpr std::int32_t kEndId = 128;

/// Id = byte for the 128 bytes of ASCII, and one special token "<end>": small enough for vocabularies of 131.
inline Tokenizer make_byte_tokenizer() {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 128; ++byte) {
    const char text = static_cast<char>(byte);
    std::string spelled;
    append_spelled(spelled, std::string_view(&text, 1));
    vocabulary[spelled] = byte;
  }
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json file = {{"version", "1.0"},
                     {"added_tokens",
                      {{{"id", kEndId},
                        {"content", "<end>"},
                        {"single_word", false},
                        {"lstrip", false},
                        {"rstrip", false},
                        {"normalized", false},
                        {"special", true}}}},
                     {"pre_tokenizer", byte_level},
                     {"decoder", byte_level},
                     {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  auto made = Tokenizer::from_json(file.dump(), "byte tokenizer");
  CORBEL_CHECK(made.has_value(), made.error().message);
  return *std::move(made);
}

}  // namespace corbel
