"""Llama, and what is built like it: Llama 1-3, Mistral 7B (without its window), SmolLM2, TinyLlama, Yi …

The plain decoder: RMS norm before each half of a block, grouped-query attention with rotary embeddings and scores
scaled by head_dim^-½, a gated SiLU feed-forward, no biases. Small members tie the output to the embedding.

Peculiar to its GGUF files: rows of the query and key matrices are permuted so that rope's pairs are neighbours
(2j, 2j + 1) within a head; the runtime pairs j with j + dim/2, so `arrange` puts the rows back. Llama 3.1's frequency
scaling comes as a tensor of divisors. Source: Touvron et al., arXiv 2307.09288; llama.cpp's convert_hf_to_gguf.py.
"""

import numpy as np

from gadfly.arch.page import Config, Page
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.names import NameTable
from gadfly.spec import Attention, Block, Dense, ModelSpec, PreNorm, Rope
from gadfly.weight import Weight

__all__ = ["PAGE"]

NAMES = NameTable(
    {
        "embedding": "token_embd.weight",
        "norm": "output_norm.weight",
        "output": "output.weight",
        "spec.rope_scaling": "rope_freqs.weight",
        "blocks.{layer}.mixer_norm": "blk.{layer}.attn_norm.weight",
        "blocks.{layer}.mixer.query": "blk.{layer}.attn_q.weight",
        "blocks.{layer}.mixer.key": "blk.{layer}.attn_k.weight",
        "blocks.{layer}.mixer.value": "blk.{layer}.attn_v.weight",
        "blocks.{layer}.mixer.output": "blk.{layer}.attn_output.weight",
        "blocks.{layer}.ffn_norm": "blk.{layer}.ffn_norm.weight",
        "blocks.{layer}.ffn.gate": "blk.{layer}.ffn_gate.weight",
        "blocks.{layer}.ffn.up": "blk.{layer}.ffn_up.weight",
        "blocks.{layer}.ffn.down": "blk.{layer}.ffn_down.weight",
    }
)


def read_spec(config: Config) -> ModelSpec:
    if config.integer("expert_count", 0, low=0):
        raise UnsupportedError(
            f"{config.source}: a mixture of experts, which Gadfly does not run yet; try a dense model"
        )
    dim = config.integer("embedding_length")
    heads = config.integer("attention.head_count", high=dim)
    head_dim = config.integer("attention.key_length", dim // heads)
    if config.integer("attention.value_length", head_dim) != head_dim:
        raise UnsupportedError(f"{config.source}: keys and values differ in length, which Gadfly does not run yet")
    kv_heads = config.integer("attention.head_count_kv", heads, high=heads)
    if heads % kv_heads:
        raise ModelFileError(f"{config.source}: {heads} query heads cannot share {kv_heads} key/value heads evenly")
    eps = config.number("attention.layer_norm_rms_epsilon", high=1.0)
    block = Block(
        mixer=Attention(heads, kv_heads, head_dim, read_rope(config, head_dim), head_dim**-0.5),
        ffn=Dense(config.integer("feed_forward_length"), "silu"),
        norms=PreNorm(eps),
    )
    return ModelSpec(
        vocab=config.integer("vocab_size"),
        dim=dim,
        context=config.integer("context_length"),
        blocks=(block,) * config.integer("block_count", high=4096),
        norm_eps=eps,
    )


def read_rope(config: Config, head_dim: int) -> Rope:
    dim = config.integer("rope.dimension_count", head_dim, low=2, high=head_dim)
    if dim % 2:
        raise ModelFileError(f"{config.source}: rope turns pairs, so {dim} components are one too many")
    scaling: tuple[float, ...] = ()
    kind = config.text("rope.scaling.type", "none")
    if "spec.rope_scaling" in config.tensors:
        scaling = tuple(config.tensors["spec.rope_scaling"].tolist())
        if len(scaling) != dim // 2 or not all(0 < divisor < np.inf for divisor in scaling):
            raise ModelFileError(f"{config.source}: rope_freqs.weight has to hold {dim // 2} positive numbers")
    elif kind == "linear":
        scaling = (config.number("rope.scaling.factor", 1.0),) * (dim // 2)
    elif kind != "none":
        raise UnsupportedError(f"{config.source}: rope scaling {kind!r} is not supported yet")
    return Rope(dim, config.number("rope.freq_base", 10000.0), scaling)


def arrange(path: str, weight: Weight, spec: ModelSpec) -> Weight:
    """Neighbouring pairs of rows back to halves: row 2j of a head becomes row j, row 2j + 1 row j + dim/2."""
    if not path.endswith(("mixer.query", "mixer.key")):
        return weight
    mixer = spec.blocks[int(path.split(".")[1])].mixer
    turned = mixer.rope.dim
    within = np.r_[0:turned:2, 1:turned:2, turned : mixer.head_dim]
    heads = weight.shape[0] // mixer.head_dim
    return weight.take_rows((np.arange(heads)[:, None] * mixer.head_dim + within).reshape(-1))


PAGE = Page(NAMES, read_spec, arrange)
