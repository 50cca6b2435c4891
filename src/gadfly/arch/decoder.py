"""What nearly all decoders have in common, so that their pages can say what they do not.

RMS norm before each half of a block, grouped-query attention with rotary embeddings and scores scaled by head_dim^-½, a
gated feed-forward, windows; and the names that Hugging Face's transformers and llama.cpp give to these parts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gadfly.arch.page import Config
from gadfly.arch.rope import read_rope
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.names import NameTable
from gadfly.spec import Activation, Attention, Block, Dense, FeedForward, ModelSpec, MoE, Norms, PreNorm

__all__ = [
    "ACTIVATIONS",
    "GGUF_BIASES",
    "GGUF_EXPERTS",
    "GGUF_HEAD_NORMS",
    "GGUF_NAMES",
    "HF_BIASES",
    "HF_HEAD_NORMS",
    "HF_IGNORED",
    "HF_NAMES",
    "SLIDING",
    "describe_decoder",
    "read_activation",
    "read_attention",
    "read_decoder",
    "read_windows",
    "require_absent",
    "typical",
    "window_notes",
    "windowed",
]

LARGEST_HEAD = 2**14  # components; a rope may have to be computed for so many before a tensor is looked at

GGUF_NAMES: Mapping[str, str] = {
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
GGUF_EXPERTS: Mapping[str, str] = {
    "blocks.{layer}.ffn.router": "blk.{layer}.ffn_gate_inp.weight",
    "blocks.{layer}.ffn.gate": "blk.{layer}.ffn_gate_exps.weight",
    "blocks.{layer}.ffn.up": "blk.{layer}.ffn_up_exps.weight",
    "blocks.{layer}.ffn.down": "blk.{layer}.ffn_down_exps.weight",
}
GGUF_BIASES: Mapping[str, str] = {
    "blocks.{layer}.mixer.query_bias": "blk.{layer}.attn_q.bias",
    "blocks.{layer}.mixer.key_bias": "blk.{layer}.attn_k.bias",
    "blocks.{layer}.mixer.value_bias": "blk.{layer}.attn_v.bias",
}
GGUF_HEAD_NORMS: Mapping[str, str] = {
    "blocks.{layer}.mixer.query_norm": "blk.{layer}.attn_q_norm.weight",
    "blocks.{layer}.mixer.key_norm": "blk.{layer}.attn_k_norm.weight",
}
HF_NAMES: Mapping[str, str] = {
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "output": "lm_head.weight",
    "blocks.{layer}.mixer_norm": "model.layers.{layer}.input_layernorm.weight",
    "blocks.{layer}.mixer.query": "model.layers.{layer}.self_attn.q_proj.weight",
    "blocks.{layer}.mixer.key": "model.layers.{layer}.self_attn.k_proj.weight",
    "blocks.{layer}.mixer.value": "model.layers.{layer}.self_attn.v_proj.weight",
    "blocks.{layer}.mixer.output": "model.layers.{layer}.self_attn.o_proj.weight",
    "blocks.{layer}.ffn_norm": "model.layers.{layer}.post_attention_layernorm.weight",
    "blocks.{layer}.ffn.gate": "model.layers.{layer}.mlp.gate_proj.weight",
    "blocks.{layer}.ffn.up": "model.layers.{layer}.mlp.up_proj.weight",
    "blocks.{layer}.ffn.down": "model.layers.{layer}.mlp.down_proj.weight",
}
HF_BIASES: Mapping[str, str] = {
    "blocks.{layer}.mixer.query_bias": "model.layers.{layer}.self_attn.q_proj.bias",
    "blocks.{layer}.mixer.key_bias": "model.layers.{layer}.self_attn.k_proj.bias",
    "blocks.{layer}.mixer.value_bias": "model.layers.{layer}.self_attn.v_proj.bias",
}
HF_HEAD_NORMS: Mapping[str, str] = {
    "blocks.{layer}.mixer.query_norm": "model.layers.{layer}.self_attn.q_norm.weight",
    "blocks.{layer}.mixer.key_norm": "model.layers.{layer}.self_attn.k_norm.weight",
}
HF_IGNORED = NameTable({"frequencies": "model.layers.{layer}.self_attn.rotary_emb.inv_freq"})  # computed from the base

SLIDING, FULL = "sliding_attention", "full_attention"  # words of `layer_types`
ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "gelu": "gelu_erf",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
}


def read_decoder(config: Config, mixer: Attention, ffn: FeedForward, norms: Norms | None = None) -> ModelSpec:
    """A model whose layers are all alike."""
    eps = config.number("rms_norm_eps", high=1.0)
    return ModelSpec(
        vocab=config.integer("vocab_size"),
        dim=config.integer("hidden_size"),
        context=config.integer("max_position_embeddings"),
        blocks=(Block(mixer, ffn, norms or PreNorm(eps)),) * config.integer("num_hidden_layers", high=4096),
        norm_eps=eps,
    )


def read_attention(config: Config, theta: float = 10000.0) -> Attention:
    """`theta` is rope's base if the file does not say."""
    dim = config.integer("hidden_size")
    heads = config.integer("num_attention_heads", high=dim)
    head_dim = config.integer("head_dim", dim // heads, high=LARGEST_HEAD)
    if config.integer("attention.value_length", head_dim) != head_dim:
        raise UnsupportedError(f"{config.source}: keys and values differ in length, which Gadfly does not run yet")
    kv_heads = config.integer("num_key_value_heads", heads, high=heads)
    if heads % kv_heads:
        raise ModelFileError(f"{config.source}: {heads} query heads cannot share {kv_heads} key/value heads evenly")
    return Attention(heads, kv_heads, head_dim, read_rope(config, head_dim, theta), head_dim**-0.5)


def read_activation(config: Config, default: str = "silu", key: str = "hidden_act") -> Activation:
    """What config.json calls `hidden_act`; GGUF files leave it to the architecture."""
    name = config.text(key, default) if config.gguf is None else default
    if name not in ACTIVATIONS:
        raise UnsupportedError(f"{config.source}: the activation {name[:40]!r} is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def read_windows(config: Config, slides: Callable[[int], bool]) -> tuple[int | None, ...]:
    """How many positions a query of each layer sees; None if all.

    The size is `sliding_window`. Where the file does not say in `layer_types` which layers have one, `slides` does.
    GGUF files have flags for the types of layers, or one number n: every nth layer sees everything.
    """
    layers = config.integer("num_hidden_layers", high=4096)
    if not config.has("sliding_window"):
        return (None,) * layers
    window, types = config.integer("sliding_window"), config.get("layer_types")
    if types is None:
        sliding = [slides(layer) for layer in range(layers)]
    elif isinstance(types, int | np.integer) and not isinstance(types, bool) and types >= 0:
        sliding = [types != 0 and (layer + 1) % int(types) != 0 for layer in range(layers)]
    elif isinstance(types, np.ndarray) and types.shape == (layers,):
        sliding = types.astype(bool).tolist()
    elif isinstance(types, list) and len(types) == layers and all(kind in (SLIDING, FULL) for kind in types):
        sliding = [kind == SLIDING for kind in types]
    else:
        raise config.error("layer_types", f"one of {SLIDING} and {FULL} for each of {layers} layers")
    return tuple(window if slides else None for slides in sliding)


def windowed(spec: ModelSpec, windows: Sequence[int | None]) -> ModelSpec:
    blocks = zip(spec.blocks, windows, strict=True)
    return replace(spec, blocks=tuple(replace(block, mixer=replace(block.mixer, window=w)) for block, w in blocks))


def window_notes(spec: ModelSpec) -> tuple[str, ...]:
    """What whoever writes a GGUF file should know, of architectures whose windows llama.cpp leaves out."""
    windows = [block.mixer.window for block in spec.blocks if block.mixer.window is not None]
    return (f"llama.cpp gives this model no windows, so it differs beyond {min(windows)} tokens",) if windows else ()


def require_absent(config: Config, *names: str) -> None:
    """Raises UnsupportedError if a config.json switches on what no released model of its architecture has."""
    for name in names:
        if config.gguf is None and config.has(name):
            raise UnsupportedError(
                f"{config.source}: {name} is set, which no released model of this architecture has; it is not supported"
            )


def typical(spec: ModelSpec) -> Attention:
    """What layers do where their windows do not matter: the first that sees everything, or the first of all."""
    return next((block.mixer for block in spec.blocks if block.mixer.window is None), spec.blocks[0].mixer)


def describe_decoder(spec: ModelSpec) -> dict[str, Any]:
    """The hyperparameters of a model under the names of config.json: of its windows, and what its layers have alike."""
    mixer, ffn = typical(spec), spec.blocks[0].ffn
    described: dict[str, Any] = {
        "vocab_size": spec.vocab,
        "hidden_size": spec.dim,
        "max_position_embeddings": spec.context,
        "num_hidden_layers": len(spec.blocks),
        "num_attention_heads": mixer.heads,
        "num_key_value_heads": mixer.kv_heads,
        "head_dim": mixer.head_dim,
        "rms_norm_eps": spec.norm_eps,
        "rope_theta": mixer.rope.theta,
    }
    if mixer.rope.dim != mixer.head_dim:
        described["partial_rotary_factor"] = mixer.rope.dim / mixer.head_dim
    described |= _describe_windows([block.mixer.window for block in spec.blocks])
    match ffn:
        case Dense(hidden, activation):
            described |= {"intermediate_size": hidden, "hidden_act": _word(activation)}
        case MoE(experts, selected, hidden, activation):
            described |= {"intermediate_size": hidden, "hidden_act": _word(activation)}
            described |= {"num_local_experts": experts, "num_experts_per_tok": selected}
    return described


def _describe_windows(windows: list[int | None]) -> dict[str, Any]:
    """There is one size for all that have one, in every architecture so far."""
    sizes = {window for window in windows if window is not None}
    if not sizes:
        return {}
    types = [FULL if window is None else SLIDING for window in windows]
    return (
        {"sliding_window": max(sizes)} if None not in windows else {"sliding_window": max(sizes), "layer_types": types}
    )


def _word(activation: Activation) -> str:
    return next(word for word, meant in ACTIVATIONS.items() if meant == activation)
