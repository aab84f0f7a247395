#include "corbel/format/gguf_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::int64_t kMostSize = std::int64_t{1} << 40;

/// The shortest decimal number that rounds to this float, as a double.
double shortest(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  double number = value;
  std::from_chars(text.data(), end, number);
  return number;
}

/// The type that most of the weights' values have, as torch spells it; empty where that is a block format.
std::string torch_dtype(const GgufTensors& tensors) {
  struct Count {
    const WeightFormat* format;
    std::string_view name;
    std::int64_t bytes;
  };
  std::array<Count, 3> counts{
      {{&bf16_format(), "bfloat16", 0}, {&f16_format(), "float16", 0}, {&f32_format(), "float32", 0}}};
  std::int64_t others = 0;
  for (const std::string& name : tensors.names()) {
    const GgufTensors::Stored stored = tensors.stored(name);
    auto found = std::find_if(counts.begin(), counts.end(), [&](const Count& c) { return c.format == stored.format; });
    (found != counts.end() ? found->bytes : others) += stored.bytes;
  }
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](const Count& a, const Count& b) { return a.bytes < b.bytes; });
  return most->bytes > others ? std::string(most->name) : std::string();
}

}  // namespace

Result<const disk_names::GgufArchitecture*> find_gguf_architecture(const GgufHeader& header) {
  constexpr std::string_view kKey = "general.architecture";
  CORBEL_ASSIGN(const std::string_view name, header.require_string(kKey));
  std::string known;
  for (const disk_names::GgufArchitecture& entry : disk_names::kGgufArchitectures) {
    if (entry.name == name) return &entry;
    known += cat(known.empty() ? "" : ", ", '"', entry.name, '"');
  }
  return fail(Code::unsupported, cat(header.source(), ": \"", kKey, "\" is ", quote(name), "; known: ", known,
                                     " (corbel/base/disk_names.h)"));
}

std::string GgufKeys::key(std::string_view name) const { return cat(prefix_, '.', name); }

Result<std::int64_t> GgufKeys::require_size(std::string_view name) const {
  if (!has(name)) return fail(Code::bad_file, cat(header_.source(), ": the key \"", key(name), "\" is missing"));
  return get_size(name, 0);
}

Result<std::int64_t> GgufKeys::get_size(std::string_view name, std::int64_t fallback) const {
  const std::string full = key(name);
  const GgufValue* found = header_.find(full);
  if (found == nullptr || !std::holds_alternative<GgufArray>(found->value))
    return header_.get_int(full, fallback, 1, kMostSize);
  CORBEL_ASSIGN(const std::vector<std::int32_t> sizes, header_.get_ints(full));
  if (sizes.empty() || sizes.front() < 1 ||
      std::any_of(sizes.begin(), sizes.end(), [&](std::int32_t size) { return size != sizes.front(); })) {
    return fail(Code::unsupported, cat(header_.source(), ": \"", full, "\" is a list of ", sizes.size(),
                                       " numbers; expected one positive number for all layers"));
  }
  return sizes.front();
}

Result<double> GgufKeys::get_number(std::string_view name, double fallback) const {
  const std::string full = key(name);
  CORBEL_ASSIGN(const double number, header_.get_number(full, fallback));
  const GgufValue* found = header_.find(full);
  if (found == nullptr || found->type != GgufType::f32) return number;
  return shortest(static_cast<float>(number));
}

Result<std::string> GgufKeys::get_string(std::string_view name, std::string_view fallback) const {
  CORBEL_ASSIGN(const std::string_view text, header_.get_string(key(name), fallback));
  return std::string(text);
}

Result<GgufSizes> read_gguf_sizes(const GgufKeys& keys) {
  GgufSizes sizes;
  CORBEL_ASSIGN(sizes.hidden, keys.require_size("embedding_length"));
  CORBEL_ASSIGN(sizes.q_heads, keys.require_size("attention.head_count"));
  CORBEL_ASSIGN(sizes.kv_heads, keys.get_size("attention.head_count_kv", sizes.q_heads));
  CORBEL_ASSIGN(sizes.head_dim, keys.get_size("attention.key_length", sizes.hidden / sizes.q_heads));
  CORBEL_ASSIGN(const std::int64_t value_dim, keys.get_size("attention.value_length", sizes.head_dim));
  CORBEL_ASSIGN(sizes.context, keys.require_size("context_length"));
  CORBEL_ASSIGN(sizes.rope_theta, keys.get_number("rope.freq_base", 10000.0));
  const std::string& source = keys.header().source();
  if (value_dim != sizes.head_dim) {
    return fail(Code::unsupported, cat(source, ": \"", keys.key("attention.value_length"), "\" is ", value_dim,
                                       " and keys have ", sizes.head_dim, "; both must be equal"));
  }
  if (sizes.head_dim < 2 || sizes.head_dim % 2 != 0) {
    return fail(Code::bad_file,
                cat(source, ": heads have ", sizes.head_dim, " dimensions (\"", keys.key("embedding_length"), "\" ",
                    sizes.hidden, ", ", sizes.q_heads, " heads); an even number is expected"));
  }
  return sizes;
}

namespace {

/// Everything that is another kind of model under the same name is refused here, not met as a surplus tensor later.
Result<void> check_dense(const GgufKeys& keys) {
  CORBEL_ASSIGN(const std::int64_t experts, keys.header().get_int(keys.key("expert_count"), 0, 0, kMostSize));
  if (experts == 0) return {};
  return fail(Code::unsupported, cat(keys.header().source(), ": \"", keys.key("expert_count"), "\" is ", experts,
                                     "; mixtures of experts are not read"));
}

Result<std::int64_t> read_vocabulary_size(const GgufKeys& keys, const GgufTensors& tensors, std::int64_t hidden) {
  constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
  const Shape shape = tensors.stored(kEmbedding).shape;
  if (shape.rank() == 2 && shape[1] == hidden) return shape[0];
  return fail(Code::bad_file, cat(keys.header().source(), ": the embedding (token_embd.weight) is ",
                                  tensors.describe(kEmbedding), "; expected [vocabulary, ", hidden, "]"));
}

Result<void> add_rope(const GgufKeys& keys, const GgufSizes& sizes, const GgufRopeFactors& factors, Json& config) {
  config["rope_theta"] = sizes.rope_theta;
  CORBEL_ASSIGN(Json scaling, make_rope_scaling(keys, sizes, factors));
  if (!scaling.is_null()) config["rope_scaling"] = std::move(scaling);
  CORBEL_ASSIGN(const std::int64_t rotating, keys.get_size("rope.dimension_count", sizes.head_dim));
  if (rotating != sizes.head_dim)
    config["partial_rotary_factor"] = static_cast<double>(rotating) / static_cast<double>(sizes.head_dim);
  return {};
}

}  // namespace

Result<Json> make_gguf_config(const GgufKeys& keys, const disk_names::GgufArchitecture& architecture,
                              const GgufTensors& tensors, const GgufRopeFactors& factors) {
  CORBEL_TRY(check_dense(keys));
  CORBEL_ASSIGN(const GgufSizes sizes, read_gguf_sizes(keys));
  CORBEL_ASSIGN(const std::int64_t window,
                keys.header().get_int(keys.key("attention.sliding_window"), 0, 0, kMostSize));
  CORBEL_ASSIGN(const std::int64_t vocabulary, read_vocabulary_size(keys, tensors, sizes.hidden));
  CORBEL_ASSIGN(const std::int64_t layers, keys.require_size("block_count"));
  CORBEL_ASSIGN(const std::int64_t ffn, keys.require_size("feed_forward_length"));
  CORBEL_ASSIGN(const double eps, keys.get_number("attention.layer_norm_rms_epsilon", 1e-5));
  const bool slides = window > 0 && window < sizes.context && !architecture.windowed.empty();
  Json config = {{"architectures", {slides ? architecture.windowed : architecture.architecture}},
                 {"model_type", architecture.model_type},
                 {"hidden_size", sizes.hidden},
                 {"intermediate_size", ffn},
                 {"num_hidden_layers", layers},
                 {"num_attention_heads", sizes.q_heads},
                 {"num_key_value_heads", sizes.kv_heads},
                 {"head_dim", sizes.head_dim},
                 {"hidden_act", "silu"},
                 {"vocab_size", vocabulary},
                 {"max_position_embeddings", sizes.context},
                 {"rms_norm_eps", eps},
                 {"tie_word_embeddings", !tensors.has("lm_head.weight")},
                 {"attention_bias", tensors.has("model.layers.0.self_attn.o_proj.bias")},
                 {"mlp_bias", tensors.has("model.layers.0.mlp.down_proj.bias")}};
  if (slides) config["sliding_window"] = window;
  CORBEL_TRY(add_rope(keys, sizes, factors, config));
  if (const std::string dtype = torch_dtype(tensors); !dtype.empty()) config["torch_dtype"] = dtype;
  CORBEL_ASSIGN(const Json generation, make_gguf_generation_config(keys.header()));
  for (const char* name : {"bos_token_id", "eos_token_id"})
    if (generation.contains(name)) config[name] = generation[name];
  return config;
}

}  // namespace corbel
