"""Llama, and what is built like it: Llama 1-3, SmolLM2, TinyLlama, Yi …

The plain decoder: RMS norm before each half of a block, grouped-query attention with rotary embeddings and scores
scaled by head_dim^-½, a gated SiLU feed-forward, no biases. Small members tie the output to the embedding.

Peculiar to its GGUF files: rows of the query and key matrices are permuted so that rope's pairs are neighbours
(2j, 2j + 1) within a head; the runtime pairs j with j + dim/2, so `arrange` puts the rows back. Llama 3.1's frequency
scaling comes as a tensor of divisors. Source: Touvron et al., arXiv 2307.09288; llama.cpp's convert_hf_to_gguf.py.
"""

from typing import Any

import numpy as np

from gadfly.arch.decoder import (
    GGUF_NAMES,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_activation,
    read_attention,
    read_decoder,
    require_absent,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.rope import rope_tensors
from gadfly.names import NameTable
from gadfly.spec import Attention, Dense, ModelSpec
from gadfly.weight import Reordered, Stack, Weight

__all__ = ["PAGE", "halves", "neighbours"]


def read_spec(config: Config) -> ModelSpec:
    require_absent(config, "attention_bias", "mlp_bias")
    return read_decoder(
        config, read_attention(config), Dense(config.integer("intermediate_size"), read_activation(config))
    )


def describe(spec: ModelSpec) -> dict[str, Any]:
    return {**describe_decoder(spec), "attention_bias": False, "mlp_bias": False}


def halves(path: str, weight: Weight, spec: ModelSpec) -> Weight:
    """Neighbouring pairs of rows back to halves: row 2j of a head becomes row j, row 2j + 1 row j + dim/2."""
    return _reordered(path, weight, spec, lambda order: order)


def neighbours(path: str, weight: Weight, spec: ModelSpec) -> Weight:
    """The way back, as GGUF files of this architecture want it."""
    return _reordered(path, weight, spec, np.argsort)


def _reordered(path: str, weight: Weight, spec: ModelSpec, direction: Any) -> Weight:
    if not path.endswith(("mixer.query", "mixer.key")) or isinstance(weight, Stack):
        return weight
    mixer = spec.blocks[int(path.split(".")[1])].mixer
    within = direction(_order(mixer))
    heads = weight.shape[0] // mixer.head_dim
    index = (np.arange(heads)[:, None] * mixer.head_dim + within).reshape(-1)
    if isinstance(weight, Reordered):
        return Reordered(weight.weight, weight.index[index])
    return Reordered(weight, index)


def _order(mixer: Attention) -> Any:
    turned = mixer.rope.dim
    return np.r_[0:turned:2, 1:turned:2, turned : mixer.head_dim]


PAGE = Page(
    name="llama",
    gguf_name="llama",
    hf_name="LlamaForCausalLM",
    model_type="llama",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES), halves, neighbours),
    hf=Dialect(NameTable(HF_NAMES), ignored=HF_IGNORED),
    tensors=rope_tensors,
    claims=lambda config: config.gguf is None or not (config.has("sliding_window") or config.has("num_local_experts")),
)
