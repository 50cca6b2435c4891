"""Gemma 3, as far as it reads text: windows in five layers of six, and two ropes.

A block is a sandwich, normalised before each half and after it, ahead of the addition. Layers with a window turn by a
base of 10,000, the others by a million, which members from 4B on stretch eightfold. Every head of queries and keys is
normalised; scores are scaled by `query_pre_attn_scalar`^-½. The embedding, which is the output too, is scaled by √dim
on its way in, rounded as the weights were in training; GELU is the tanh approximation.

Norms in config.json's world hold what is to be added to one; GGUF files hold the sum, as the runtime does. They do not
say the scalar: it is the size of a head but for the member of 62 layers, and ours say it. Nor do old ones say which
layers have windows. Members with eyes keep their text model under `text_config` and `language_model.`, and leave out of
the former what is usual; what belongs to the eyes is not read.
Source: Gemma team, arXiv 2503.19786; transformers, modeling_gemma3.py; llama.cpp, src/models/gemma3.cpp.
"""

import math
from dataclasses import replace
from typing import Any

from gadfly.arch.decoder import (
    GGUF_HEAD_NORMS,
    GGUF_NAMES,
    HF_HEAD_NORMS,
    HF_NAMES,
    describe_decoder,
    read_activation,
    read_attention,
    read_decoder,
    read_windows,
    require_absent,
    typical,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.rope import read_rope
from gadfly.names import NameTable
from gadfly.spec import Dense, ModelSpec, Rope, SandwichNorm
from gadfly.weight import Plain, Weight

__all__ = ["PAGE"]

GLOBAL_BASE, LOCAL_BASE, PERIOD = 1e6, 1e4, 6
LAYERS_27B = 62

USUAL = {  # Gemma3TextConfig of transformers
    "head_dim": 256,
    "max_position_embeddings": 131072,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-6,
    "vocab_size": 262208,
}

GGUF_NORMS = {
    "blocks.{layer}.mixer_post_norm": "blk.{layer}.post_attention_norm.weight",
    "blocks.{layer}.ffn_post_norm": "blk.{layer}.post_ffw_norm.weight",
}
HF_NORMS = {
    "blocks.{layer}.mixer_post_norm": "model.layers.{layer}.post_attention_layernorm.weight",
    "blocks.{layer}.ffn_norm": "model.layers.{layer}.pre_feedforward_layernorm.weight",
    "blocks.{layer}.ffn_post_norm": "model.layers.{layer}.post_feedforward_layernorm.weight",
}
EYES = {"eyes": "vision_tower.{rest}", "eyes.output": "multi_modal_projector.{rest}"}


def read_spec(config: Config) -> ModelSpec:
    if config.gguf is not None or config.get("text_config") is None:
        return read_text(config)
    text, dtype = config.within("text_config"), config.get("dtype") or config.get("torch_dtype")
    return read_text(replace(text, values={"dtype": dtype, **text.values}))


def read_text(config: Config) -> ModelSpec:
    config = replace(config, values={**USUAL, **config.values}) if config.gguf is None else config
    require_absent(
        config, "attention_bias", "use_bidirectional_attention", "attn_logit_softcapping", "final_logit_softcapping"
    )
    eps = config.number("rms_norm_eps", 1e-6, high=1.0)
    plain = replace(read_attention(config), head_norm=eps)
    full = replace(
        plain,
        rope=read_rope(config, plain.head_dim, GLOBAL_BASE, "full_attention"),
        scale=config.number("query_pre_attn_scalar", default_scalar(config, plain.head_dim)) ** -0.5,
    )
    ffn = Dense(
        config.integer("intermediate_size"), read_activation(config, "gelu_pytorch_tanh", key="hidden_activation")
    )
    spec = read_decoder(config, full, ffn, SandwichNorm(eps))
    period = config.integer("sliding_window_pattern", PERIOD)
    windows = read_windows(config, lambda layer: (layer + 1) % period != 0)
    local = replace(full, rope=read_local_rope(config, plain.head_dim))
    mixers = [full if window is None else replace(local, window=window) for window in windows]
    return replace(
        spec,
        blocks=tuple(replace(block, mixer=mixer) for block, mixer in zip(spec.blocks, mixers, strict=True)),
        embedding_scale=config.number("embedding_multiplier_scale", embedding_scale(config, spec.dim)),
    )


def default_scalar(config: Config, head_dim: int) -> int:
    dim, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    return dim // heads if config.gguf is not None and config.integer("num_hidden_layers") == LAYERS_27B else head_dim


def read_local_rope(config: Config, head_dim: int) -> Rope:
    base = config.number("rope_local_base_freq", LOCAL_BASE)
    if config.gguf is None:
        base = config.within("rope_parameters").within("sliding_attention").number("rope_theta", base)
    return Rope(head_dim, base)


def embedding_scale(config: Config, dim: int) -> float:
    """√dim; in a config.json that says that weights are bfloat16, rounded to that."""
    dtype = config.get("dtype") or config.get("torch_dtype")
    if config.gguf is not None or dtype != "bfloat16":
        return math.sqrt(dim)
    mantissa, exponent = math.frexp(math.sqrt(dim))
    return math.ldexp(round(256 * mantissa) / 256, exponent)  # eight significant bits


def describe(spec: ModelSpec) -> dict[str, Any]:
    described = describe_decoder(spec)
    local = next((block.mixer for block in spec.blocks if block.mixer.window is not None), typical(spec))
    return described | {
        "hidden_activation": described["hidden_act"],
        "query_pre_attn_scalar": round(typical(spec).scale ** -2),
        "rope_local_base_freq": local.rope.theta,
        "embedding_multiplier_scale": spec.embedding_scale,
    }


def from_one(path: str, weight: Weight, spec: ModelSpec) -> Weight:  # noqa: ARG001
    return Plain(1 + weight.array) if path.endswith("norm") and isinstance(weight, Plain) else weight


def to_one(path: str, weight: Weight, spec: ModelSpec) -> Weight:  # noqa: ARG001
    return Plain(weight.array - 1) if path.endswith("norm") and isinstance(weight, Plain) else weight


HF = {**HF_NAMES, **HF_HEAD_NORMS, **HF_NORMS}

PAGE = Page(
    name="gemma3",
    gguf_name="gemma3",
    hf_name="Gemma3ForCausalLM",
    hf_also=("Gemma3ForConditionalGeneration",),
    model_type="gemma3_text",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_HEAD_NORMS, GGUF_NORMS)),
    hf=Dialect(
        NameTable(HF, aliases={f"language_model.{name}": name for name in HF.values()}),
        from_one,
        to_one,
        ignored=NameTable({"frequencies": "model.layers.{layer}.self_attn.rotary_emb.inv_freq", **EYES}),
    ),
)
