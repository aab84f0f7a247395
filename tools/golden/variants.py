"""The tiny checkpoints: one entry per golden, together they exercise every switch of both families.

An entry: name, architecture, config (merged over BASE), and what else it needs:
  dtype     how weights are stored (default bfloat16)
  n         prompt length (default 24)
  style     "old": rope_theta, rope_scaling, torch_dtype; "new": rope_parameters, dtype. It only picks the dtype key and
            documents the spelling; rope keys are written out in the entry.
  shards    number of safetensors files
  extras    "inv_freq": the buffers that Llama 2 checkpoints carry; "lm_head": a tied head stored all the same
  drops     {what: config patch or "zero:<suffix>"}: each must change the logits by more than 100 tolerances
"""

BASE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 131, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "attention_dropout": 0.0, "initializer_range": 0.02,
    "use_cache": True, "tie_word_embeddings": False,
}
NO_SCALING = {"rope_scaling": None}


def ramp(start: float, step: float, n: int) -> list[float]:
    return [round(start + step * i, 4) for i in range(n)]


def plain(theta: float) -> dict:
    """The patch that drops a rope scaling written in the new spelling."""
    return {"rope_parameters": {"rope_type": "default", "rope_theta": theta}}


LLAMA = [
    dict(name="mha_f32", dtype="float32", extras="inv_freq", switches="mha,untied,rope_theta old spelling,inv_freq buffers in file,odd sizes",
         config=dict(hidden_size=48, intermediate_size=80, num_attention_heads=6, num_key_value_heads=6, rope_theta=10000.0,
                     pretraining_tp=1)),
    dict(name="mha_no_kv_key_f16", dtype="float16", n=40, switches="num_key_value_heads absent,mha,float16,no rope keys at all",
         config=dict(num_key_value_heads=None)),
    dict(name="gqa_tied_sharded_bf16", style="new", shards=2, n=32, switches="gqa,tied,sharded,new spelling,rope_theta 500000,4 layers",
         config=dict(hidden_size=48, intermediate_size=80, num_hidden_layers=4, num_attention_heads=6, head_dim=8,
                     tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
         drops={"rope_theta": plain(10000.0)}),
    dict(name="mqa_head_dim_f16", dtype="float16", switches="mqa,head_dim 16 != hidden/heads 12,float16",
         config=dict(hidden_size=48, intermediate_size=80, num_key_value_heads=1, head_dim=16, num_hidden_layers=3,
                     rope_theta=10000.0, rms_norm_eps=1e-6)),
    dict(name="attention_bias_f32", dtype="float32", switches="attention_bias (q k v o)",
         config=dict(attention_bias=True, rope_theta=10000.0),
         drops={s + " bias": "zero:" + s + "_proj.bias" for s in "qkvo"}),
    dict(name="mlp_bias_bf16", switches="mlp_bias (gate up down)", config=dict(mlp_bias=True, rope_theta=10000.0),
         drops={s + " bias": "zero:" + s + "_proj.bias" for s in ("gate", "up", "down")}),
    dict(name="all_biases_tied_f16", dtype="float16", switches="attention_bias,mlp_bias,tied,norm eps 1e-3",
         config=dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_theta=1e6, rms_norm_eps=1e-3),
         drops={"rms_norm_eps": dict(rms_norm_eps=1e-6)}),
    dict(name="act_gelu_tanh_bf16", switches="hidden_act gelu_pytorch_tanh",
         config=dict(hidden_act="gelu_pytorch_tanh", rope_theta=10000.0),
         drops={"silu instead": dict(hidden_act="silu"), "erf instead": dict(hidden_act="gelu")}),
    dict(name="act_gelu_f32", dtype="float32", switches="hidden_act gelu (erf)",
         config=dict(hidden_act="gelu", rope_theta=10000.0), drops={"hidden_act": dict(hidden_act="silu")}),
    dict(name="act_relu_bf16", switches="hidden_act relu",
         config=dict(hidden_act="relu", rope_theta=10000.0), drops={"hidden_act": dict(hidden_act="silu")}),
    dict(name="rope_linear_old_f32", dtype="float32", switches="rope linear,old spelling type,head_dim 24",
         config=dict(hidden_size=48, intermediate_size=80, num_attention_heads=2, num_key_value_heads=1, rope_theta=10000.0,
                     rope_scaling={"type": "linear", "factor": 2.0}), drops={"rope_scaling": NO_SCALING}),
    dict(name="rope_linear_new_bf16", style="new", switches="rope linear,new spelling",
         config=dict(rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 20000.0}),
         drops={"rope_scaling": plain(20000.0)}),
    dict(name="rope_dynamic_long_f32", dtype="float32", n=28, dynamic=True,
         switches="rope dynamic ntk,prompt beyond max_position_embeddings,old spelling",
         config=dict(rope_theta=10000.0, max_position_embeddings=16, rope_scaling={"type": "dynamic", "factor": 2.0}),
         drops={"rope_scaling": NO_SCALING}),
    dict(name="rope_dynamic_short_bf16", style="new", switches="rope dynamic ntk,all within max_position_embeddings",
         config=dict(rope_parameters={"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0})),
    dict(name="rope_yarn_old_bf16", n=40, switches="rope yarn,old spelling,attention factor from factor",
         config=dict(head_dim=16, rope_theta=10000.0, max_position_embeddings=64,
                     rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
         drops={"rope_scaling": NO_SCALING}),
    dict(name="rope_yarn_explicit_f32", dtype="float32", style="new", n=32,
         switches="rope yarn,attention_factor,beta_fast,beta_slow,truncate false,new spelling",
         config=dict(head_dim=16, max_position_embeddings=256,
                     rope_parameters={"rope_type": "yarn", "rope_theta": 50000.0, "factor": 8.0,
                                      "original_max_position_embeddings": 32, "attention_factor": 1.3, "beta_fast": 4.0,
                                      "beta_slow": 0.5, "truncate": False}),
         drops={"rope_scaling": plain(50000.0),
                "truncate": {"rope_parameters.truncate": True}, "attention_factor": {"rope_parameters.attention_factor": None},
                "beta_fast": {"rope_parameters.beta_fast": None}, "beta_slow": {"rope_parameters.beta_slow": None}}),
    dict(name="rope_yarn_mscale_bf16", style="new", n=32, switches="rope yarn,mscale,mscale_all_dim",
         config=dict(head_dim=16, max_position_embeddings=128,
                     rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 8.0, "mscale": 1.4,
                                      "mscale_all_dim": 0.7, "original_max_position_embeddings": 16}),
         drops={"mscale": {"rope_parameters.mscale": None}}),
    dict(name="rope_llama3_old_bf16", n=40, switches="rope llama3,old spelling rope_type in rope_scaling",
         config=dict(head_dim=16, rope_theta=10000.0, max_position_embeddings=256,
                     rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 32}), drops={"rope_scaling": NO_SCALING}),
    dict(name="rope_llama3_new_tied_f32", dtype="float32", style="new", n=40, switches="rope llama3,new spelling,tied",
         config=dict(head_dim=24, tie_word_embeddings=True, max_position_embeddings=128,
                     rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 0.5,
                                      "high_freq_factor": 8.0, "original_max_position_embeddings": 64}),
         drops={"rope_scaling": plain(500000.0)}),
    dict(name="rope_longrope_short_bf16", switches="rope longrope,all positions within original: short factors",
         config=dict(head_dim=16, rope_theta=10000.0, max_position_embeddings=256,
                     rope_scaling={"type": "longrope", "short_factor": ramp(1.0, 0.15, 8), "long_factor": ramp(1.5, 0.8, 8),
                                   "original_max_position_embeddings": 64}), drops={"rope_scaling": NO_SCALING}),
    dict(name="rope_longrope_long_f32", dtype="float32", style="new",
         switches="rope longrope,beyond original: long factors,factor given,new spelling",
         config=dict(head_dim=16, max_position_embeddings=256,
                     rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": ramp(1.0, 0.15, 8),
                                      "long_factor": ramp(1.5, 0.8, 8), "original_max_position_embeddings": 16, "factor": 6.0}),
         drops={"rope_scaling": plain(10000.0), "factor": {"rope_parameters.factor": None},
                "long_factor": {"rope_parameters.long_factor": ramp(1.0, 0.15, 8)}}),
    dict(name="rope_longrope_top_level_bf16", n=32,
         switches="rope longrope,original_max_position_embeddings beside rope_scaling,attention_factor given",
         config=dict(head_dim=8, rope_theta=10000.0, max_position_embeddings=128, original_max_position_embeddings=16,
                     rope_scaling={"rope_type": "longrope", "short_factor": ramp(1.0, 0.1, 4), "long_factor": ramp(2.0, 1.5, 4),
                                   "attention_factor": 1.25}),
         drops={"rope_scaling": NO_SCALING, "original_max_position_embeddings": {"original_max_position_embeddings": 100}}),
    dict(name="mistral_window_bf16", architecture="MistralForCausalLM", n=24, switches="mistral,sliding_window 8,gqa",
         config=dict(sliding_window=8, rope_theta=10000.0, head_dim=8), drops={"sliding_window": dict(sliding_window=None)}),
    dict(name="mistral_no_window_f32", architecture="MistralForCausalLM", dtype="float32", style="new",
         switches="mistral,sliding_window null,head_dim explicit 16 (heads*head_dim 64 != hidden 32)",
         config=dict(sliding_window=None, head_dim=16, rope_parameters={"rope_type": "default", "rope_theta": 1e6})),
]

QWEN = [
    dict(name="qwen2_tied_bf16", architecture="Qwen2ForCausalLM", switches="qkv bias,tied,use_sliding_window false although sliding_window set",
         config=dict(tie_word_embeddings=True, rope_theta=1e6, use_sliding_window=False, sliding_window=8, max_window_layers=1,
                     rms_norm_eps=1e-6), drops={s + " bias": "zero:" + s + "_proj.bias" for s in "qkv"}),
    dict(name="qwen2_untied_sharded_f32", architecture="Qwen2ForCausalLM", dtype="float32", shards=2, style="new",
         switches="qkv bias,untied,sharded,new spelling,mha", config=dict(
             num_key_value_heads=4, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, rms_norm_eps=1e-6)),
    dict(name="qwen2_window_bf16", architecture="Qwen2ForCausalLM", n=32,
         switches="use_sliding_window true,sliding_window 8,max_window_layers 2 of 4",
         config=dict(num_hidden_layers=4, use_sliding_window=True, sliding_window=8, max_window_layers=2, rope_theta=10000.0),
         drops={"sliding_window": dict(use_sliding_window=False), "max_window_layers": dict(max_window_layers=0)}),
    dict(name="qwen2_yarn_f16", architecture="Qwen2ForCausalLM", dtype="float16", n=40, switches="rope yarn old spelling,float16",
         config=dict(hidden_size=48, intermediate_size=80, num_attention_heads=3, num_key_value_heads=1, rope_theta=1e6,
                     max_position_embeddings=64,
                     rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
         drops={"rope_scaling": NO_SCALING}),
    dict(name="qwen3_untied_f32", architecture="Qwen3ForCausalLM", dtype="float32",
         switches="q_norm,k_norm,untied,head_dim 16 != hidden/heads 8",
         config=dict(head_dim=16, rope_theta=1e6, rms_norm_eps=1e-6, attention_bias=False, sliding_window=None,
                     use_sliding_window=False, max_window_layers=2),
         drops={s: "one:" + s + ".weight" for s in ("q_norm", "k_norm")}),
    dict(name="qwen3_tied_stored_head_bf16", architecture="Qwen3ForCausalLM", extras="lm_head", style="new", n=32,
         switches="q_norm,k_norm,tied with lm_head.weight stored,new spelling,3 layers",
         config=dict(hidden_size=48, intermediate_size=80, num_attention_heads=6, num_hidden_layers=3, head_dim=8,
                     tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6})),
    dict(name="qwen3_bias_f16", architecture="Qwen3ForCausalLM", dtype="float16", switches="attention_bias true (q k v o),q_norm,k_norm,mqa",
         config=dict(head_dim=24, attention_bias=True, num_key_value_heads=1, rope_theta=1e6),
         drops={s + " bias": "zero:" + s + "_proj.bias" for s in "qkvo"}),
    dict(name="qwen3_window_bf16", architecture="Qwen3ForCausalLM", n=32, switches="use_sliding_window true,max_window_layers 1 of 3",
         config=dict(head_dim=8, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1, rope_theta=1e6),
         drops={"sliding_window": dict(use_sliding_window=False), "max_window_layers": dict(max_window_layers=0)}),
    dict(name="qwen3_layer_types_f32", architecture="Qwen3ForCausalLM", dtype="float32", n=28, style="new",
         switches="layer_types given (alternating; it wins over max_window_layers)",
         config=dict(head_dim=8, num_hidden_layers=3, use_sliding_window=True, sliding_window=8, max_window_layers=3,
                     layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                     rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
         drops={"layer_types": dict(layer_types=None)}),
    dict(name="qwen3_yarn_bf16", architecture="Qwen3ForCausalLM", n=40, switches="rope yarn,rope_type in rope_scaling,q_norm,k_norm",
         config=dict(head_dim=16, rope_theta=1e6, max_position_embeddings=64,
                     rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
         drops={"rope_scaling": NO_SCALING}),
]

for entry in LLAMA:
    entry.setdefault("architecture", "LlamaForCausalLM")
FAMILIES = {"llama": LLAMA, "qwen": QWEN}
MODEL_TYPES = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2",
               "Qwen3ForCausalLM": "qwen3"}
