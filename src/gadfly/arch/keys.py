"""The names of hyperparameters: those of Hugging Face's config.json, and what GGUF files call the same.

Pages of this folder speak the first language; whoever reads or writes a GGUF file translates with `GGUF_KEYS`, both
ways. A GGUF key stands behind the name of the architecture: `llama.block_count`.
Source: the GGUF specification of ggml (docs/gguf.md) and gguf-py's constants.
"""

from collections.abc import Mapping

__all__ = ["GGUF_KEYS"]

GGUF_KEYS: Mapping[str, str] = {
    "attention_multiplier": "attention.output_scale",  # in a config.json of Grok-2, where the next would mean another
    "attn_logit_softcapping": "attn_logit_softcapping",
    "attn_output_multiplier": "attention.output_scale",
    "attn_temperature_len": "attention.temperature_length",
    "embedding_multiplier_scale": "embedding_scale",
    "final_logit_softcapping": "final_logit_softcapping",
    "head_dim": "attention.key_length",
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "layer_types": "attention.sliding_window_pattern",
    "max_position_embeddings": "context_length",
    "moe_intermediate_size": "expert_feed_forward_length",
    "norm_topk_prob": "expert_weights_norm",
    "num_attention_heads": "attention.head_count",
    "num_experts_per_tok": "expert_used_count",
    "num_hidden_layers": "block_count",
    "num_key_value_heads": "attention.head_count_kv",
    "num_local_experts": "expert_count",
    "output_multiplier_scale": "logit_scale",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "query_pre_attn_scalar": "attention.query_pre_attn_scalar",
    "rope_local_base_freq": "rope.freq_base_swa",
    "rope_theta": "rope.freq_base",
    "router_logit_softcapping": "router_logit_softcapping",
    "sliding_window": "attention.sliding_window",
    "vocab_size": "vocab_size",
}
