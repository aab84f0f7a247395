#include "corbel/text/decoder.h"

#include <nlohmann/json.hpp>

#include "corbel/text/byte_chars.h"
#include "corbel/text/component.h"

namespace corbel {
namespace {

using Made = Result<std::unique_ptr<Decoder>>;

class ByteLevelDecoder final : public Decoder {
 public:
  void append(std::string_view token, bool, std::string& bytes) const override {
    // An added token may hold characters that spell no byte: it stands for itself.
    if (!append_unspelled(bytes, token)) bytes.append(token);
  }
};

class FuseDecoder final : public Decoder {
 public:
  void append(std::string_view token, bool, std::string& bytes) const override { bytes.append(token); }
};

class JoiningDecoder final : public Decoder {
 public:
  void append(std::string_view token, bool first, std::string& bytes) const override {
    if (!first) bytes.push_back(' ');
    bytes.append(token);
  }
};

class SequenceDecoder final : public Decoder {
 public:
  explicit SequenceDecoder(std::vector<std::unique_ptr<Decoder>> stages) : stages_(std::move(stages)) {}

  void append(std::string_view token, bool first, std::string& bytes) const override {
    std::string current(token);
    for (const auto& stage : stages_) {
      std::string next;
      stage->append(current, first, next);
      current = std::move(next);
    }
    bytes.append(current);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> stages_;
};

Made make_byte_level(const JsonFields&) { return Made(std::make_unique<ByteLevelDecoder>()); }
Made make_fuse(const JsonFields&) { return Made(std::make_unique<FuseDecoder>()); }

Made make_sequence(const JsonFields& fields) {
  CORBEL_ASSIGN(auto stages, make_components<Decoder>(make_decoder, fields, "decoders"));
  // A stage after ByteLevel would see bytes where it expects characters.
  for (std::size_t i = 0; i + 1 < stages.size(); ++i) {
    if (dynamic_cast<const ByteLevelDecoder*>(stages[i].get()) != nullptr &&
        dynamic_cast<const FuseDecoder*>(stages[i + 1].get()) == nullptr) {
      return fail(Code::unsupported, cat(fields.source(), ": \"", fields.field_name("decoders"),
                                         "\" has a decoder other than \"Fuse\" after \"ByteLevel\""));
    }
  }
  return Made(std::make_unique<SequenceDecoder>(std::move(stages)));
}

constexpr ComponentKind<Decoder> kDecoders[] = {
    {"ByteLevel", make_byte_level}, {"Fuse", make_fuse}, {"Sequence", make_sequence}};

}  // namespace

Made make_decoder(const JsonFields& fields) { return make_component<Decoder>(kDecoders, fields); }

std::unique_ptr<Decoder> make_joining_decoder() { return std::make_unique<JoiningDecoder>(); }

}  // namespace corbel
