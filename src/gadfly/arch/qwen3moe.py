"""Qwen 3 with a mixture of experts: many small ones, of which each token goes to several (8 of 128 in the releases).

Weights of a token's experts are made to sum to one if `norm_topk_prob` says so, which config.json has to and GGUF files
do not, since all releases do. config.json may keep layers dense: those in `mlp_only_layers`, and all but every
`decoder_sparse_step`th; no release does, GGUF files have no words for it, and it is refused.
Source: Qwen team, arXiv 2505.09388; transformers, modeling_qwen3_moe.py; llama.cpp, src/models/qwen3moe.cpp.
"""

from typing import Any

from gadfly.arch.decoder import (
    GGUF_EXPERTS,
    GGUF_HEAD_NORMS,
    GGUF_NAMES,
    HF_HEAD_NORMS,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_activation,
    read_decoder,
    require_absent,
    window_notes,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.qwen2 import describe_windows, with_windows
from gadfly.arch.qwen3 import read_normed_attention
from gadfly.arch.rope import rope_tensors
from gadfly.errors import UnsupportedError
from gadfly.names import NameTable
from gadfly.spec import ModelSpec, MoE

__all__ = ["PAGE"]

EXPERT = "model.layers.{layer}.mlp.experts.{expert}"
HF_EXPERTS = {
    "blocks.{layer}.ffn.router": "model.layers.{layer}.mlp.gate.weight",
    "blocks.{layer}.ffn.gate": f"{EXPERT}.gate_proj.weight",
    "blocks.{layer}.ffn.up": f"{EXPERT}.up_proj.weight",
    "blocks.{layer}.ffn.down": f"{EXPERT}.down_proj.weight",
}


def read_spec(config: Config) -> ModelSpec:
    require_absent(config, "mlp_only_layers")
    if config.integer("decoder_sparse_step", 1) > 1:
        raise UnsupportedError(f"{config.source}: decoder_sparse_step leaves layers without experts; not supported")
    stated = "num_experts" if config.get("num_experts") is not None else "num_local_experts"
    experts = config.integer(stated, high=4096)
    moe = MoE(
        experts=experts,
        selected=config.integer("num_experts_per_tok", high=experts),
        hidden=config.integer("moe_intermediate_size"),
        activation=read_activation(config),
        renormalised=config.flag("norm_topk_prob", config.gguf is not None),
    )
    return with_windows(read_decoder(config, read_normed_attention(config), moe), config)


def describe(spec: ModelSpec) -> dict[str, Any]:
    moe = spec.blocks[0].ffn
    assert isinstance(moe, MoE)
    described = describe_decoder(spec) | describe_windows(spec)
    return described | {
        "num_experts": moe.experts,
        "moe_intermediate_size": moe.hidden,
        "norm_topk_prob": moe.renormalised,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }


def notes(spec: ModelSpec) -> tuple[str, ...]:
    renormalised = all(block.ffn.renormalised for block in spec.blocks if isinstance(block.ffn, MoE))
    return window_notes(spec) + (() if renormalised else ("llama.cpp makes the weights of experts sum to one here",))


PAGE = Page(
    name="qwen3moe",
    gguf_name="qwen3moe",
    hf_name="Qwen3MoeForCausalLM",
    model_type="qwen3_moe",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_HEAD_NORMS, GGUF_EXPERTS)),
    hf=Dialect(NameTable(HF_NAMES, HF_HEAD_NORMS, HF_EXPERTS), ignored=HF_IGNORED),
    tensors=rope_tensors,
    notes=notes,
)
