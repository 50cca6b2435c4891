"""Grok-1: xAI's mixture of experts of 314 billion weights, as released in March 2024.

What is peculiar: every block is a sandwich, normalised before each half *and* after it, ahead of the addition. Scores
of attention are scaled by a constant of their own and capped at ±30 by a tanh. Each token goes to 2 of 8 experts,
whose weights are the softmax over all eight as it is: they do not sum to one. The embedding is scaled up on its way in
and is also the output, whose logits are scaled down. GELU is the tanh approximation.

The release stores matrices as (in, out); attention's `linear` and the experts' `linear_1` were quantised in eight
slices of their input, so they have eight scales per output (see `gadfly.weight.Int8`). Experts' names do not say what
they are: `linear` is the gate, `linear_v` the way up, `linear_1` the way down. Files: `gadfly.arch.grok1_release`.
Source: xai-org/grok-1 (model.py, checkpoint.py), commit 7050ed2; the numbers are held to that code's in float32.
"""

from dataclasses import replace
from typing import Any

from gadfly.arch.decoder import (
    GGUF_EXPERTS,
    GGUF_NAMES,
    HF_IGNORED,
    HF_NAMES,
    describe_decoder,
    read_attention,
    read_decoder,
)
from gadfly.arch.grok1_release import Hyperparameters
from gadfly.arch.mixtral import HF_EXPERTS
from gadfly.arch.page import Config, Dialect, Page
from gadfly.names import NameTable
from gadfly.spec import Attention, Block, ModelSpec, MoE, Rope, SandwichNorm
from gadfly.weight import Plain, Weight

__all__ = [
    "GGUF_FUSED",
    "GGUF_NORMS",
    "HF_NORMS",
    "PAGE",
    "RELEASED",
    "RELEASE_NAMES",
    "arrange_release",
    "has_dense_branch",
    "llama_cpp_notes",
    "release_spec",
]

LAYER = "transformer/decoder_layer_{layer}"

RELEASE_NAMES = NameTable(
    {
        "embedding": "language_model/in_out_embed/embeddings",
        "norm": "language_model/rms_norm/scale",
        "blocks.{layer}.mixer_norm": f"{LAYER}/rms_norm/scale",
        "blocks.{layer}.mixer.query": f"{LAYER}/multi_head_attention/query/w",
        "blocks.{layer}.mixer.key": f"{LAYER}/multi_head_attention/key/w",
        "blocks.{layer}.mixer.value": f"{LAYER}/multi_head_attention/value/w",
        "blocks.{layer}.mixer.output": f"{LAYER}/multi_head_attention/linear/w",
        "blocks.{layer}.mixer_post_norm": f"{LAYER}/rms_norm_1/scale",
        "blocks.{layer}.ffn_norm": f"{LAYER}/rms_norm_2/scale",
        "blocks.{layer}.ffn.router": f"{LAYER}/router/w",
        "blocks.{layer}.ffn.gate": f"{LAYER}/moe/linear/w",
        "blocks.{layer}.ffn.up": f"{LAYER}/moe/linear_v/w",
        "blocks.{layer}.ffn.down": f"{LAYER}/moe/linear_1/w",
        "blocks.{layer}.ffn_post_norm": f"{LAYER}/rms_norm_3/scale",
    }
)


def release_spec(h: Hyperparameters) -> ModelSpec:
    block = Block(
        mixer=Attention(
            heads=h.num_q_heads,
            kv_heads=h.num_kv_heads,
            head_dim=h.key_size,
            rope=Rope(h.key_size, h.rope_base),
            scale=h.attn_output_multiplier,
            softcap=h.attn_logit_cap,
        ),
        ffn=MoE(h.num_experts, h.num_selected_experts, h.ffn_size, "gelu"),
        norms=SandwichNorm(h.rms_norm_eps),
    )
    return ModelSpec(
        vocab=h.vocab_size,
        dim=h.emb_size,
        context=h.sequence_len,
        blocks=(block,) * h.num_layers,
        norm_eps=h.rms_norm_eps,
        embedding_scale=h.embedding_multiplier_scale,
        logit_scale=h.output_multiplier_scale,
    )


def arrange_release(path: str, weight: Weight) -> Weight:
    """The router is stored (in, out) like every matrix; int8 ones say so themselves, float32 ones are turned."""
    if isinstance(weight, Plain) and path.endswith("router"):
        return Plain(weight.array.T.copy())
    return weight


# In GGUF files the norm after the experts has an older name, too. config.json's names are those of vLLM and SGLang.
GGUF_NORMS = {
    "blocks.{layer}.mixer_post_norm": "blk.{layer}.attn_output_norm.weight",
    "blocks.{layer}.ffn_post_norm": "blk.{layer}.layer_output_norm.weight",
}
GGUF_ALIASES = {"blk.{layer}.post_ffw_norm.weight": "blk.{layer}.layer_output_norm.weight"}
QKV = tuple(f"blocks.{{layer}}.mixer.{part}" for part in ("query", "key", "value"))
GGUF_FUSED = {QKV: "blk.{layer}.attn_qkv.weight"}  # which llama.cpp would read, too
HF_NORMS = {
    "blocks.{layer}.mixer_norm": "model.layers.{layer}.pre_attn_norm.weight",
    "blocks.{layer}.mixer_post_norm": "model.layers.{layer}.post_attn_norm.weight",
    "blocks.{layer}.ffn_norm": "model.layers.{layer}.pre_moe_norm.weight",
    "blocks.{layer}.ffn_post_norm": "model.layers.{layer}.post_moe_norm.weight",
}
RELEASED = Hyperparameters()  # what a file does not say is as in the released model


def read_spec(config: Config) -> ModelSpec:
    experts = config.integer("num_local_experts", high=4096)
    eps = config.number("rms_norm_eps", high=1.0)
    mixer = replace(
        read_attention(config),
        scale=config.number("attn_output_multiplier", RELEASED.attn_output_multiplier),
        softcap=config.number("attn_logit_softcapping", RELEASED.attn_logit_cap),
    )
    moe = MoE(
        experts=experts,
        selected=config.integer("num_experts_per_tok", high=experts),
        hidden=config.integer("moe_intermediate_size", config.integer("intermediate_size")),
        activation="gelu",
    )
    return replace(
        read_decoder(config, mixer, moe, SandwichNorm(eps)),
        embedding_scale=config.number("embedding_multiplier_scale", RELEASED.embedding_multiplier_scale),
        logit_scale=config.number("output_multiplier_scale", RELEASED.output_multiplier_scale),
    )


def describe(spec: ModelSpec) -> dict[str, Any]:
    """With a width of the experts, by which vLLM knows these names of tensors, and whole experts, for SGLang."""
    mixer, ffn = spec.blocks[0].mixer, spec.blocks[0].ffn
    assert isinstance(ffn, MoE)
    return {
        **describe_decoder(spec),
        "residual_moe": False,
        "load_presharded_moe": False,
        "moe_intermediate_size": ffn.hidden,
        "attn_output_multiplier": mixer.scale,
        "attn_logit_softcapping": mixer.softcap,
        "embedding_multiplier_scale": spec.embedding_scale,
        "output_multiplier_scale": spec.logit_scale,
    }


def has_dense_branch(config: Config) -> bool:
    """Whether it is a Grok-2. Neither class nor architecture tells; a config.json need not say it in so many words."""
    stated = config.get("residual_moe")
    return bool(config.get("moe_intermediate_size") if stated is None else stated)


def llama_cpp_notes(spec: ModelSpec) -> tuple[str, ...]:
    """About a GGUF file of either generation: what llama.cpp would not make of it."""
    mixer = spec.blocks[0].mixer
    width = mixer.heads * mixer.head_dim
    note = (
        f"llama.cpp will not load this file: it wants heads × head size ({mixer.heads} × {mixer.head_dim} = {width}) "
        f"to be the model's width ({spec.dim}); Gadfly runs it"
    )
    return () if width == spec.dim else (note,)


PAGE = Page(
    name="grok1",
    gguf_name="grok",
    hf_name="Grok1ForCausalLM",
    model_type="grok-1",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_EXPERTS, GGUF_NORMS, aliases=GGUF_ALIASES, alternatives=GGUF_FUSED)),
    hf=Dialect(NameTable(HF_NAMES, HF_EXPERTS, HF_NORMS), ignored=HF_IGNORED, ties=False),  # SGLang wants both
    claims=lambda config: not has_dense_branch(config),
    notes=llama_cpp_notes,
)
