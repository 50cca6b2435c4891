"""Mixtral: a Mistral with a mixture of experts for a feed-forward.

Each token goes to 2 of 8 experts; the two weights are made to sum to one. In config.json's world every expert's matrix
is a tensor of its own, called w1 (gate), w3 (up) and w2 (down); GGUF files, which call themselves llama, stack them.
Source: Jiang et al., arXiv 2401.04088; transformers, modeling_mixtral.py.
"""

from typing import Any

from gadfly.arch import llama
from gadfly.arch.decoder import (
    GGUF_EXPERTS,
    GGUF_NAMES,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_activation,
    read_attention,
    read_decoder,
    read_windows,
    window_notes,
    windowed,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.rope import rope_tensors
from gadfly.names import NameTable
from gadfly.spec import ModelSpec, MoE

__all__ = ["HF_EXPERTS", "PAGE"]

EXPERT = "model.layers.{layer}.block_sparse_moe.experts.{expert}"
HF_EXPERTS = {
    "blocks.{layer}.ffn.router": "model.layers.{layer}.block_sparse_moe.gate.weight",
    "blocks.{layer}.ffn.gate": f"{EXPERT}.w1.weight",
    "blocks.{layer}.ffn.up": f"{EXPERT}.w3.weight",
    "blocks.{layer}.ffn.down": f"{EXPERT}.w2.weight",
}


def read_spec(config: Config) -> ModelSpec:
    experts = config.integer("num_local_experts", high=4096)
    moe = MoE(
        experts=experts,
        selected=config.integer("num_experts_per_tok", high=experts),
        hidden=config.integer("intermediate_size"),
        activation=read_activation(config),
        renormalised=True,
    )
    return windowed(read_decoder(config, read_attention(config, theta=1e6), moe), read_windows(config, lambda _: True))


def describe(spec: ModelSpec) -> dict[str, Any]:
    return {"sliding_window": None, **describe_decoder(spec)}


PAGE = Page(
    name="mixtral",
    gguf_name="llama",
    hf_name="MixtralForCausalLM",
    model_type="mixtral",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_EXPERTS), llama.halves, llama.neighbours),
    hf=Dialect(NameTable(HF_NAMES, HF_EXPERTS), ignored=HF_IGNORED),
    tensors=rope_tensors,
    notes=window_notes,
    claims=lambda config: config.has("num_local_experts"),
)
