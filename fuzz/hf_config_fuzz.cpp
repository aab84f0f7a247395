// A config.json is refused with a message, or becomes a specification that validates or says why not; sizes stay in the
// ranges that make every product of two of them safe.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "corbel/model/decoder_config.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class NoTensors final : public corbel::TensorSource {
 public:
  std::optional<corbel::SourceTensor> find(std::string_view) const override { return std::nullopt; }
  std::vector<std::string> names() const override { return {}; }
  std::string description() const override { return "fuzz"; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const corbel::Result<corbel::Json> json = corbel::parse_json(text, "config.json");
  if (!json) return 0;
  const corbel::JsonFields config(*json, "config.json");
  const corbel::ModelSource source{config, "FuzzedForCausalLM", std::make_shared<NoTensors>(), {}};
  corbel::Result<corbel::CausalLmDescription> description = corbel::read_decoder_config(source);
  if (!description) {
    require(!description.error().message.empty());
    return 0;
  }
  static_cast<void>(corbel::apply_layer_types(config, 1024, description->spec));
  const corbel::Result<void> valid = description->spec.validate();
  require(valid || !valid.error().message.empty());
  if (valid) {
    const corbel::AttentionSpec& attention = description->spec.layers.at(0).attention;
    require(attention.q_heads > 0 && attention.kv_heads > 0 && attention.head_dim > 0);
    require(attention.q_heads % attention.kv_heads == 0);
  }
  return 0;
}
