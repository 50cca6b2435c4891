"""Phi 3, 3.5 and 4: a Llama whose files keep queries, keys and values in one matrix, and gate and up in another.

Rows lie end to end in that order, in both kinds of file. Members with long contexts have two sets of rope's divisors,
of which a short context takes one and a long one the other, and multiply what is turned (LongRoPE); Phi-4-mini turns
three quarters of a head. Phi-3-mini's queries see a window of 2,047, which its GGUF files mention and llama.cpp leaves
out; a window of 0 means none.
Source: Microsoft, arXiv 2404.14219 and 2503.01743; transformers, modeling_phi3.py; llama.cpp, src/models/phi3.cpp.
"""

from typing import Any

from gadfly.arch.decoder import (
    GGUF_NAMES,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_activation,
    read_attention,
    read_decoder,
    read_windows,
    require_absent,
    window_notes,
    windowed,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.rope import rope_tensors
from gadfly.names import NameTable
from gadfly.spec import Dense, ModelSpec

__all__ = ["PAGE"]

QKV = tuple(f"blocks.{{layer}}.mixer.{part}" for part in ("query", "key", "value"))
GATED = tuple(f"blocks.{{layer}}.ffn.{part}" for part in ("gate", "up"))
FUSED = {*QKV, *GATED}

GGUF_FUSED = {
    QKV: "blk.{layer}.attn_qkv.weight",
    GATED: "blk.{layer}.ffn_up.weight",
    ("spec.rope_short",): "rope_factors_short.weight",
    ("spec.rope_long",): "rope_factors_long.weight",
}
HF_FUSED = {
    QKV: "model.layers.{layer}.self_attn.qkv_proj.weight",
    GATED: "model.layers.{layer}.mlp.gate_up_proj.weight",
}


def read_spec(config: Config) -> ModelSpec:
    require_absent(config, "attention_bias", "mlp_bias")
    ffn = Dense(config.integer("intermediate_size"), read_activation(config))
    return windowed(read_decoder(config, read_attention(config), ffn), read_windows(config, lambda _: True))


def describe(spec: ModelSpec) -> dict[str, Any]:
    long = spec.blocks[0].mixer.rope.long
    original = spec.context if long is None else long.context
    return {"sliding_window": None, **describe_decoder(spec), "original_max_position_embeddings": original}


PAGE = Page(
    name="phi3",
    gguf_name="phi3",
    hf_name="Phi3ForCausalLM",
    model_type="phi3",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable({path: name for path, name in GGUF_NAMES.items() if path not in FUSED}, GGUF_FUSED)),
    hf=Dialect(
        NameTable({path: name for path, name in HF_NAMES.items() if path not in FUSED}, HF_FUSED), ignored=HF_IGNORED
    ),
    tensors=rope_tensors,
    notes=window_notes,
)
