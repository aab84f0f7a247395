#include "corbel/verify/faults.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/verify/fault_ops.h"
#include "corbel/verify/fault_weights.h"

namespace corbel {
namespace {

// Fields of a config that has not been checked yet: what is of another type counts as absent.
std::int64_t integer(const Json& config, const char* key, std::int64_t fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number_integer() ? found->get<std::int64_t>() : fallback;
}
double number(const Json& config, const char* key, double fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number() ? found->get<double>() : fallback;
}
bool boolean(const Json& config, const char* key, bool fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_boolean() ? found->get<bool>() : fallback;
}
std::string text(const Json& config, const char* key, const std::string& fallback) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : fallback;
}

std::int64_t prompt_tokens(const FaultScene& scene) { return static_cast<std::int64_t>(scene.golden.prompt().size()); }

/// The scaling's own dictionary; null when there is none.
const Json* scaling_of(const Json& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const auto found = config.find(key); found != config.end() && found->is_object() && !found->empty())
      return &*found;
  }
  return nullptr;
}

void double_rope_theta(Json& config) {
  const auto found_in = [](Json& fields) {
    const auto theta = fields.is_object() ? fields.find("rope_theta") : fields.end();
    if (theta == fields.end() || !theta->is_number()) return false;
    *theta = theta->get<double>() * 2.0;
    return true;
  };
  bool changed = found_in(config);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const auto fields = config.find(key); fields != config.end()) changed = found_in(*fields) || changed;
  }
  if (!changed) config["rope_theta"] = 20000.0;  // the default is 10000
}

void drop_rope_scaling(Json& config) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const auto fields = config.find(key);
    if (fields == config.end() || !fields->is_object()) continue;
    const double theta = number(*fields, "rope_theta", number(config, "rope_theta", 10000.0));
    config.erase(key);
    config["rope_theta"] = theta;
  }
}

bool scales_positions(const FaultScene& scene) {
  const Json* scaling = scaling_of(scene.config);
  if (scaling == nullptr) return false;
  const std::string type = text(*scaling, "rope_type", text(*scaling, "type", "default"));
  const auto& positions = scene.golden.positions();
  const bool is_long =
      *std::max_element(positions.begin(), positions.end()) >= integer(scene.config, "max_position_embeddings", 2048);
  return type != "default" && (type != "dynamic" || is_long);
}

void widen_norm_eps(Json& config) { config["rms_norm_eps"] = number(config, "rms_norm_eps", 1e-6) * 100.0; }

void change_activation(Json& config) {
  config["hidden_act"] = text(config, "hidden_act", "silu") == "silu" ? "gelu" : "silu";
}

void tie_head(Json& config) { config["tie_word_embeddings"] = true; }
bool head_is_stored(const FaultScene& scene) {
  return !boolean(scene.config, "tie_word_embeddings", false) && scene.tensors.has("lm_head.weight");
}

bool groups_heads(const FaultScene& scene) {
  const std::int64_t heads = integer(scene.config, "num_attention_heads", 1);
  const std::int64_t kv_heads = integer(scene.config, "num_key_value_heads", heads);
  return kv_heads > 1 && kv_heads < heads;
}

/// -1: none slides. Both ways a config has of saying which layers do.
std::int64_t first_sliding_layer(const Json& config) {
  if (const auto types = config.find("layer_types"); types != config.end() && types->is_array() && !types->empty()) {
    const auto found = std::find(types->begin(), types->end(), "sliding_attention");
    return found == types->end() ? -1 : found - types->begin();
  }
  if (integer(config, "sliding_window", 0) <= 0 || !boolean(config, "use_sliding_window", true)) return -1;
  const std::int64_t first = config.contains("use_sliding_window") ? integer(config, "max_window_layers", 0) : 0;
  return first < integer(config, "num_hidden_layers", 0) ? first : -1;
}

bool window_cuts(const FaultScene& scene) {
  return first_sliding_layer(scene.config) >= 0 && integer(scene.config, "sliding_window", 0) < prompt_tokens(scene);
}

bool has_head_norms(const FaultScene& scene) { return scene.tensors.has("model.layers.0.self_attn.q_norm.weight"); }
bool has_q_bias(const FaultScene& scene) { return scene.tensors.has("model.layers.0.self_attn.q_proj.bias"); }
bool has_layers(const FaultScene& scene) { return integer(scene.config, "num_hidden_layers", 0) > 1; }
bool decodes(const FaultScene& scene) { return scene.golden.greedy().size() > 1; }

/// Where a mistake inside attention, before its output projection, comes to light; `before`: a module ahead of that.
std::vector<std::string_view> in_attention(std::string_view before = {}) {
  std::vector<std::string_view> modules = {"model.layers.0.self_attn.o_proj", "model.layers.0.self_attn"};
  if (!before.empty()) modules.insert(modules.begin(), before);
  return modules;
}
constexpr std::string_view kFfn = "model.layers.0.mlp";

std::vector<Fault> config_faults() {
  return {
      {.name = "rope_base",
       .what = "rope_theta is twice what it should be",
       .shows_in = in_attention(),
       .edit_config = double_rope_theta},
      {.name = "rope_scaling_dropped",
       .what = "rope_scaling is ignored",
       .shows_in = in_attention(),
       .visible = scales_positions,
       .edit_config = drop_rope_scaling},
      {.name = "norm_eps",
       .what = "rms_norm_eps is 100 times what it should be",
       .shows_in = {"model.layers.0.input_layernorm"},
       .edit_config = widen_norm_eps},
      {.name = "activation",
       .what = "the feed-forward layer uses gelu for silu, or silu for what it should use",
       .shows_in = {kFfn},
       .edit_config = change_activation},
      {.name = "head_tied",
       .what = "the head uses the embedding's matrix although it has its own",
       .shows_in = {"lm_head"},
       .visible = head_is_stored,
       .edit_config = tie_head},
  };
}

std::vector<Fault> weight_faults() {
  return {
      {.name = "swap_gate_up",
       .what = "gate and up projection are exchanged",
       .shows_in = {kFfn},
       .edit_weights = broken::gate_up_swapped},
      {.name = "layers_swapped",
       .what = "layers 0 and 1 are exchanged",
       .shows_in = {"model.layers.0.input_layernorm"},
       .visible = has_layers,
       .edit_weights = broken::layers_swapped},
      {.name = "transposed_weight",
       .what = "the query projection of layer 0 lies in memory column after column",
       .shows_in = in_attention("model.layers.0.self_attn.q_proj"),
       .edit_weights = broken::projection_transposed},
      {.name = "one_wrong_weight_element",
       .what = "one number of one matrix is 1",
       .shows_in = {kFfn},
       .edit_weights = broken::one_element_wrong},
      {.name = "nan_weight",
       .what = "one number of one matrix is NaN",
       .shows_in = {kFfn},
       .edit_weights = broken::value_is_nan},
      {.name = "final_norm_weight",
       .what = "the weight of the final norm is ignored",
       .shows_in = {"model.norm"},
       .edit_weights = broken::final_norm_ignored},
      {.name = "bias_dropped",
       .what = "the bias of the query projection of layer 0 is ignored",
       .shows_in = in_attention("model.layers.0.self_attn.q_proj"),
       .visible = has_q_bias,
       .edit_weights = broken::bias_dropped},
      {.name = "head_rows_shifted",
       .what = "the head's rows are off by one",
       .shows_in = {"lm_head"},
       .edit_weights = broken::head_rows_shifted},
  };
}

std::vector<Fault> attention_faults() {
  return {
      {.name = "attention_scale",
       .what = "scores are divided by the root of all heads' dimensions, not of one head's",
       .shows_in = in_attention(),
       .edit_ops = broken::attention_scale},
      {.name = "mask_off_by_one",
       .what = "every row of a prefill sees the token behind it",
       .shows_in = in_attention(),
       .edit_ops = broken::mask_off_by_one},
      {.name = "wrong_kv_head",
       .what = "query head h reads key head h % kv_heads in place of h / (q_heads / kv_heads)",
       .shows_in = in_attention(),
       .visible = groups_heads,
       .edit_ops = broken::wrong_kv_head},
      {.name = "window_dropped",
       .what = "sliding windows are ignored",
       .shows_in = {"model.layers.{window}.self_attn.o_proj", "model.layers.{window}.self_attn"},
       .visible = window_cuts,
       .edit_ops = broken::window_dropped},
      {.name = "window_off_by_one",
       .what = "sliding windows are one token too wide",
       .shows_in = {"model.layers.{window}.self_attn.o_proj", "model.layers.{window}.self_attn"},
       .visible = window_cuts,
       .edit_ops = broken::window_off_by_one},
      {.name = "kv_slot_off_by_one",
       .what = "keys and values are stored one slot late",
       .shows_in = in_attention(),
       .edit_ops = broken::kv_slot_off_by_one},
      {.name = "decode_misses_own_token",
       .what = "a decoded token does not see itself; prefill is right",
       .shows_in = {"greedy"},
       .visible = decodes,
       .edit_ops = broken::decode_misses_own_token},
      {.name = "position_off_by_one",
       .what = "all positions but the first are one too high",
       .shows_in = in_attention(),
       .edit_ops = broken::position_off_by_one},
      {.name = "rope_layout",
       .what = "rotary pairs are neighbours in place of halves",
       .shows_in = in_attention(),
       .edit_ops = broken::rope_layout},
  };
}

std::vector<Fault> other_faults() {
  return {
      {.name = "qk_norm_dropped",
       .what = "norms of query and key heads are left out",
       .shows_in = in_attention("model.layers.0.self_attn.q_norm"),
       .visible = has_head_norms,
       .edit_ops = broken::qk_norm_dropped},
      {.name = "norm_gamma_plus_one",
       .what = "norms multiply by 1 + weight in place of weight",
       .shows_in = {"model.layers.0.input_layernorm"},
       .edit_ops = broken::norm_gamma_plus_one},
      {.name = "residual_missing",
       .what = "layers forget to add what came in",
       .shows_in = {"model.layers.0.post_attention_layernorm"},
       .edit_ops = broken::residual_missing},
      {.name = "token_id_off_by_one",
       .what = "the embedding looks up the next token",
       .shows_in = {"model.embed_tokens", "model.layers.0.input_layernorm"},
       .edit_ops = broken::token_id_off_by_one},
  };
}

std::vector<Fault> make_faults() {
  std::vector<Fault> faults;
  for (std::vector<Fault> (*part)() : {config_faults, weight_faults, attention_faults, other_faults}) {
    for (Fault& fault : part()) faults.push_back(std::move(fault));
  }
  return faults;
}

std::string replaced(std::string text, std::string_view placeholder, std::int64_t number) {
  if (const auto at = text.find(placeholder); at != std::string::npos)
    text.replace(at, placeholder.size(), std::to_string(number));
  return text;
}

}  // namespace

std::span<const Fault> all_faults() {
  static const std::vector<Fault> faults = make_faults();
  return faults;
}

Result<const Fault*> find_fault(std::string_view name) {
  std::string known;
  for (const Fault& fault : all_faults()) {
    if (fault.name == name) return &fault;
    known += cat(known.empty() ? "" : ", ", fault.name);
  }
  return fail(Code::bad_request, cat("there is no fault \"", name, "\"; known: ", known));
}

bool fault_is_visible(const Fault& fault, const FaultScene& scene) {
  return (fault.visible == nullptr || fault.visible(scene)) && !expected_first_wrong(fault, scene).empty();
}

std::string expected_first_wrong(const Fault& fault, const FaultScene& scene) {
  for (const std::string_view pattern : fault.shows_in) {
    std::string module = replaced(std::string(pattern), "{last}", integer(scene.config, "num_hidden_layers", 1) - 1);
    module = replaced(std::move(module), "{window}", first_sliding_layer(scene.config));
    if (module == "greedy" || scene.golden.holds(module)) return module;
  }
  return {};
}

}  // namespace corbel
