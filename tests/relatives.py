"""Tiny models of every family: what their config.json says, for the tests that go through all of them.

Widths are odd on purpose: heads do not divide the width evenly, windows and groups of heads are no powers of two.
"""

from typing import Any

__all__ = ["RELATIVES"]

COMMON: dict[str, Any] = {
    "vocab_size": 67,
    "hidden_size": 48,
    "intermediate_size": 56,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
MOE = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
GEMMA = {
    "head_dim": 24,
    "hidden_activation": "gelu_pytorch_tanh",
    "query_pre_attn_scalar": 24,
    "rope_local_base_freq": 10000.0,
    "rope_theta": 1e6,
    "sliding_window": 7,
    "tie_word_embeddings": True,
}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.25, 1.5],
    "long_factor": [1.5, 4.0, 20.0],
}
MIXED = ["full_attention", "sliding_attention", "full_attention"]


def config(name: str, **values: Any) -> dict[str, Any]:
    return {"architectures": [f"{name}ForCausalLM"], **COMMON, **values}


RELATIVES: dict[str, dict[str, Any]] = {
    "llama": config("Llama"),
    "llama-tied": config("Llama", num_key_value_heads=6, num_hidden_layers=2, tie_word_embeddings=True),
    "llama-3": config("Llama", head_dim=24, rope_theta=500000.0, rope_scaling=LLAMA3),
    "llama-linear": config("Llama", rope_scaling={"rope_type": "linear", "factor": 2.5}),
    "mistral": config("Mistral", head_dim=24, sliding_window=7),
    "mistral-0.3": config("Mistral", num_key_value_heads=1, sliding_window=None, rope_theta=1e6),
    "mixtral": config("Mixtral", num_local_experts=5, num_experts_per_tok=2, sliding_window=None, rope_theta=1e6),
    "mixtral-window": config("Mixtral", num_local_experts=3, num_experts_per_tok=1, sliding_window=9),
    "qwen2": config("Qwen2", use_sliding_window=False, sliding_window=11, max_window_layers=1),
    "qwen2-tied": config("Qwen2", tie_word_embeddings=True, rope_theta=1e6),
    "qwen2-window": config("Qwen2", use_sliding_window=True, sliding_window=11, max_window_layers=1),
    "qwen3": config("Qwen3", head_dim=24, num_attention_heads=3, num_key_value_heads=1),
    "qwen3-tied": config("Qwen3", head_dim=40, rms_norm_eps=1e-3, tie_word_embeddings=True),
    "qwen3moe": config("Qwen3Moe", head_dim=24, norm_topk_prob=True, **MOE),
    "qwen3moe-as-it-is": config("Qwen3Moe", head_dim=24, norm_topk_prob=False, **MOE),
    "gemma3": config("Gemma3", **GEMMA, num_hidden_layers=7),
    "gemma3-linear": config("Gemma3", **GEMMA, layer_types=MIXED, rope_scaling={"rope_type": "linear", "factor": 8.0}),
    "gemma3-scalar": config("Gemma3", **{**GEMMA, "query_pre_attn_scalar": 30, "num_key_value_heads": 1}),
    "phi3": config("Phi3"),
    "phi3-window": config("Phi3", num_key_value_heads=6, sliding_window=13),
    "phi3-long": config("Phi3", partial_rotary_factor=0.75, rope_scaling=LONG, original_max_position_embeddings=256),
}
