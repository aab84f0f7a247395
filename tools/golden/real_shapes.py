"""Real shapes: published sizes and rotary settings, one or two layers, weights from a seed (seeded.py), sparse positions.

  positions  rope positions of the prompt; the order, not the position, decides who sees whom
  drops      as in variants.py, rope keys only
Sources: the config.json of each named checkpoint on huggingface.co.
"""
LLAMA_BASE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False,
    "attention_dropout": 0.0, "hidden_act": "silu", "initializer_range": 0.02, "rms_norm_eps": 1e-5, "use_cache": True,
    "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
}
QWEN_BASE = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "attention_dropout": 0.0, "hidden_act": "silu",
    "initializer_range": 0.02, "rms_norm_eps": 1e-6, "use_cache": True, "torch_dtype": "bfloat16", "bos_token_id": 151643,
    "eos_token_id": 151645, "vocab_size": 151936, "rope_theta": 1000000.0, "use_sliding_window": False,
    "sliding_window": 32768, "max_window_layers": 24, "max_position_embeddings": 32768, "tie_word_embeddings": True,
}
TINY_LLAMA = dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=4,
                  vocab_size=32000, max_position_embeddings=2048, rope_theta=10000.0)
NO_SCALING = {"rope_scaling": None}
TO_4K = [0, 1, 2, 3, 4, 5, 57, 58, 59, 255, 256, 900, 901, 1023, 1024, 2047, 2048, 3000, 4094, 4095]
TO_12K = [0, 1, 2, 3, 57, 58, 900, 901, 2047, 2048, 4094, 4095, 4096, 6000, 8190, 8191, 8192, 8193, 12000, 12001]
TO_131K = [0, 1, 2, 3, 57, 58, 900, 4095, 4096, 8190, 8191, 8192, 8193, 12000, 12001, 32768, 65535, 65536, 100000, 131000]
TO_40K = [0, 1, 2, 3, 57, 58, 900, 901, 4095, 8191, 8192, 12000, 16384, 20000, 32767, 32768, 32769, 40000, 40900, 40901]

LLAMA = [
    dict(name="llama-3.2-1b", positions=TO_131K, switches="gqa,tied,rope llama3 factor 32,beyond original 8192",
         config=dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=2, num_attention_heads=32, num_key_value_heads=8,
                     head_dim=64, vocab_size=128256, max_position_embeddings=131072, rope_theta=500000.0, tie_word_embeddings=True,
                     bos_token_id=128000, eos_token_id=[128001, 128008, 128009],
                     rope_scaling={"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                                   "original_max_position_embeddings": 8192, "rope_type": "llama3"}),
         drops={"rope_scaling": NO_SCALING}),
    dict(name="llama-2-7b", positions=TO_4K, switches="mha,untied,theta 10000",
         config=dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=32,
                     vocab_size=32000, max_position_embeddings=4096, rope_scaling=None, pretraining_tp=1),
         drops={"rope_theta": dict(rope_theta=20000.0)}),
    dict(name="mistral-7b", positions=TO_12K, switches="mistral,gqa,untied,theta 1e6,sliding_window null",
         config=dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=4096, intermediate_size=14336,
                     num_hidden_layers=1, num_attention_heads=32, num_key_value_heads=8, head_dim=128, vocab_size=32768,
                     max_position_embeddings=32768, rope_theta=1000000.0, sliding_window=None),
         drops={"rope_theta": dict(rope_theta=10000.0)}),
    dict(name="deepseek-coder-1.3b-linear", positions=TO_12K, switches="mha,rope linear factor 4,theta 100000",
         config=dict(hidden_size=2048, intermediate_size=5504, num_hidden_layers=1, num_attention_heads=16, num_key_value_heads=16,
                     vocab_size=32256, max_position_embeddings=16384, rope_theta=100000.0, rms_norm_eps=1e-6,
                     rope_scaling={"factor": 4.0, "type": "linear"}), drops={"rope_scaling": NO_SCALING}),
    dict(name="tinyllama-dynamic", positions=TO_4K, dynamic=True, switches="gqa,rope dynamic ntk factor 2,beyond 2048",
         config=dict(**TINY_LLAMA, rope_scaling={"type": "dynamic", "factor": 2.0}), drops={"rope_scaling": NO_SCALING}),
    dict(name="tinyllama-longrope", positions=TO_12K, switches="gqa,rope longrope,long factors,beyond 2048",
         config=dict(**{**TINY_LLAMA, "max_position_embeddings": 16384},
                     rope_scaling={"type": "longrope", "original_max_position_embeddings": 2048,
                                   "short_factor": [round(1 + 0.02 * i, 4) for i in range(32)],
                                   "long_factor": [round(1 + 0.01 * i * i, 4) for i in range(32)]}),
         drops={"rope_scaling": NO_SCALING}),
]
QWEN = [
    dict(name="qwen2.5-0.5b", positions=TO_12K, switches="qkv bias,tied,theta 1e6",
         config=dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=2, num_attention_heads=14, num_key_value_heads=2),
         drops={"rope_theta": dict(rope_theta=10000.0)}),
    dict(name="qwen2.5-1.5b-yarn", positions=TO_131K, switches="qkv bias,tied,rope yarn factor 4,beyond original 32768",
         config=dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=1, num_attention_heads=12, num_key_value_heads=2,
                     max_position_embeddings=131072,
                     rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"}),
         drops={"rope_scaling": NO_SCALING}),
    dict(name="qwen3-0.6b", positions=TO_40K, switches="q_norm,k_norm,tied,head_dim 128 != hidden/heads 64",
         config=dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=1024, intermediate_size=3072,
                     num_hidden_layers=2, num_attention_heads=16, num_key_value_heads=8, head_dim=128, attention_bias=False,
                     max_position_embeddings=40960, max_window_layers=28, rope_scaling=None, sliding_window=None),
         drops={"rope_theta": dict(rope_theta=10000.0)}),
]
FAMILIES = {"llama": LLAMA, "qwen": QWEN}
BASES = {"llama": LLAMA_BASE, "qwen": QWEN_BASE}
