"""Prints the vectors of corbel/blocks/rotary_test.cpp: how transformers reads a config, and float64 frequencies for it.

The rules of precedence are those of transformers' own config class, the formulas those of rope_reference.py.
"""
import json

import transformers

from rope_reference import frequencies

LONG = {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7],
        "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0]}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 256}
# name, config, lengths of the sequence
CASES = [
    ("no_scaling", {"rope_theta": 500000.0}, [1]),
    ("theta_default", {}, [1]),
    ("new_spelling", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, [1]),
    ("theta_inside_wins", {"rope_theta": 5e5, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, [1]),
    ("linear", {"rope_scaling": {"type": "linear", "factor": 4.0}}, [1]),
    ("scaling_beats_parameters", {"rope_scaling": {"type": "linear", "factor": 4.0},
                                  "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, [1]),
    ("empty_scaling_does_not", {"rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, [1]),
    ("rope_type_beats_type", {"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 4.0}}, [1]),
    ("dynamic", {"max_position_embeddings": 64, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, [64, 65, 300]),
    ("dynamic_knows_no_original", {"max_position_embeddings": 64, "original_max_position_embeddings": 16,
                                   "rope_scaling": {"type": "dynamic", "factor": 3.0}}, [64, 100]),
    ("yarn", {"max_position_embeddings": 1024, "rope_theta": 1e6,
              "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}}, [1]),
    ("yarn_null_factor", {"max_position_embeddings": 1024,
                          "rope_scaling": {"type": "yarn", "factor": None, "original_max_position_embeddings": 128}}, [1]),
    ("yarn_explicit", {"max_position_embeddings": 1024, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": 0.7,
        "beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}}, [1]),
    ("yarn_mscale", {"max_position_embeddings": 4096, "rope_scaling": {
        "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 128, "mscale": 1.0,
        "mscale_all_dim": 0.5}}, [1]),
    ("yarn_one_mscale_is_none", {"max_position_embeddings": 4096, "rope_scaling": {
        "rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 128, "mscale": 1.0,
        "mscale_all_dim": 0}}, [1]),
    ("yarn_top_level_original_wins", {"max_position_embeddings": 1024, "original_max_position_embeddings": 64,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}}, [1]),
    ("llama3", {"max_position_embeddings": 2048, "rope_theta": 500000.0, "rope_scaling": LLAMA3}, [1]),
    ("llama3_attention_factor_means_nothing", {"max_position_embeddings": 2048,
                                               "rope_scaling": {**LLAMA3, "attention_factor": 2.0}}, [1]),
    ("longrope", {"max_position_embeddings": 1024, "rope_scaling": {**LONG, "original_max_position_embeddings": 128}},
     [128, 129]),
    ("longrope_top_level", {"max_position_embeddings": 1024, "original_max_position_embeddings": 64, "rope_scaling": LONG},
     [64, 65]),
    ("longrope_factor", {"max_position_embeddings": 1024, "rope_scaling": {
        **LONG, "factor": 16.0, "original_max_position_embeddings": 128}}, [128, 129]),
    ("longrope_attention_factor", {"max_position_embeddings": 1024, "rope_scaling": {
        **LONG, "attention_factor": 1.25, "original_max_position_embeddings": 128}}, [129]),
    ("longrope_no_original", {"max_position_embeddings": 1024, "rope_scaling": LONG}, [1024, 1025]),
]


def number(value: float) -> str:
    text = repr(float(value))
    return text + "F"


def main() -> None:
    transformers.logging.set_verbosity_error()
    for name, config, lengths in CASES:
        base = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048}
        parsed = transformers.LlamaConfig(**json.loads(json.dumps({**base, **config})))
        parsed.standardize_rope_params()  # as models do again, when the config has all its fields
        text = json.dumps({"max_position_embeddings": 2048, **config})
        for length in lengths:
            f, attention = frequencies(parsed.rope_parameters, 16, parsed.max_position_embeddings, length)
            # The sources under corbel/ name no model: the test puts the type's name on disk back in.
            print(f'    {{"{name}", R"({text})", {length}, {number(attention)},'.replace("llama3", "by_wavelength"))
            print("     {" + ", ".join(number(x) for x in f) + "}},")


if __name__ == "__main__":
    main()
