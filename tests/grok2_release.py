"""Grok-2 folders as xAI released them, only tiny and random: a kind of tensor per file, experts in pieces by rank.

Names, shapes and files are written out here, and not taken from the code that reads them.
Source: the release as its readers list it: tenstorrent/tt-metal, models/demos/grok/tt/model_config.py, commit 3894959;
sgl-project/sglang, models/grok.py, commit 031ad4c (`_prepare_presharded_weights`).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.weights.safetensors_writer import safetensors_layout, write_safetensors

RELEASED: Mapping[str, Any] = {  # what copies of the release's config.json say
    "architectures": ["Grok1ForCausalLM"],
    "model_type": "git",
    "torch_dtype": "bfloat16",
    "vocab_size": 131072,
    "hidden_size": 8192,
    "num_hidden_layers": 64,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 32768,
    "moe_intermediate_size": 16384,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "residual_moe": True,
    "rms_norm_eps": 1e-5,
    "embedding_multiplier_scale": 90.50966799187809,
    "output_multiplier_scale": 0.5,
    "attn_logit_softcapping": 30.0,
    "router_logit_softcapping": 30.0,
    "final_logit_softcapping": 50,
    "max_position_embeddings": 131072,
    "rope_type": "original",
    "rope_theta": 208533496,
    "original_max_position_embeddings": 8192,
    "scaling_factor": 16.0,
    "extrapolation_factor": 1.0,
    "attn_factor": 1.0,
    "beta_fast": 8,
    "beta_slow": 1,
    "attn_temperature_len": 1024,
    "sliding_window_size": -1,
    "global_attn_every_n": 1,
}
TINY: Mapping[str, Any] = {
    **RELEASED,
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 64,
    "moe_intermediate_size": 48,
    "num_local_experts": 4,
    "embedding_multiplier_scale": 5.7,
    "final_logit_softcapping": 4.0,
    "max_position_embeddings": 4096,
    "attn_temperature_len": 16,
}
RANKS = 8

MLP, MOE, ATTENTION = "mlp", "block_sparse_moe", "self_attn"
KINDS = [  # in the order of the files; norms, routers and attention are whole, experts in pieces
    "model.embed_tokens",
    "lm_head",
    "model.norm",
    f"model.layers.{{layer}}.{MLP}.gate_proj",
    f"model.layers.{{layer}}.{MLP}.down_proj",
    f"model.layers.{{layer}}.{MLP}.up_proj",
    f"model.layers.{{layer}}.{MOE}.experts.{{expert}}.w1",
    f"model.layers.{{layer}}.{MOE}.experts.{{expert}}.w2",
    f"model.layers.{{layer}}.{MOE}.experts.{{expert}}.w3",
    f"model.layers.{{layer}}.{ATTENTION}.k_proj",
    f"model.layers.{{layer}}.{ATTENTION}.o_proj",
    f"model.layers.{{layer}}.{ATTENTION}.q_proj",
    f"model.layers.{{layer}}.{ATTENTION}.v_proj",
    "model.layers.{layer}.pre_attn_norm",
    "model.layers.{layer}.post_attn_norm",
    "model.layers.{layer}.pre_moe_norm",
    "model.layers.{layer}.post_moe_norm",
    f"model.layers.{{layer}}.{MOE}.gate",
]
JOINED_ALONG = {"w1": 0, "w2": 1, "w3": 0}  # the axis along which ranks divide an expert's matrix


def whole_shape(kind: str, config: Mapping[str, Any]) -> tuple[int, ...]:
    """Of a tensor before it is cut."""
    dim, head = config["hidden_size"], config["head_dim"]
    query, key = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    dense, expert = config["intermediate_size"], config["moe_intermediate_size"]
    return {
        "embed_tokens": (config["vocab_size"], dim),
        "lm_head": (config["vocab_size"], dim),
        "gate_proj": (dense, dim),
        "up_proj": (dense, dim),
        "down_proj": (dim, dense),
        "w1": (expert, dim),
        "w2": (dim, expert),
        "w3": (expert, dim),
        "q_proj": (query, dim),
        "k_proj": (key, dim),
        "v_proj": (key, dim),
        "o_proj": (dim, query),
        "gate": (config["num_local_experts"], dim),
    }.get(kind.rpartition(".")[2], (dim,))


def piece_shape(kind: str, config: Mapping[str, Any], ranks: int = RANKS) -> tuple[int, ...]:
    """Of what is in a file."""
    shape = list(whole_shape(kind, config))
    if (axis := JOINED_ALONG.get(kind.rpartition(".")[2])) is not None:
        assert shape[axis] % ranks == 0
        shape[axis] //= ranks
    return tuple(shape)


def names(kind: str, config: Mapping[str, Any]) -> list[str]:
    layers = range(config["num_hidden_layers"] if "{layer}" in kind else 1)
    experts = range(config["num_local_experts"] if "{expert}" in kind else 1)
    return [kind.format(layer=i, expert=j) + ".weight" for i in layers for j in experts]


def random_tensors(config: Mapping[str, Any], seed: int, ranks: int = RANKS) -> dict[str, list[np.ndarray]]:
    """float32 that bfloat16 holds exactly, by name: one array, or one per rank. Loud enough that caps bend them."""
    random = np.random.default_rng(seed)
    gains = {"q_proj": 4.0, "k_proj": 4.0, "gate": 12.0, "lm_head": 4.0, "w1": 2.0, "gate_proj": 2.0}
    tensors = {}
    for kind in KINDS:
        shape, part = piece_shape(kind, config, ranks), kind.rpartition(".")[2]
        count = ranks if part in JOINED_ALONG else 1
        gain = gains.get(part, 1.0) / whole_shape(kind, config)[-1] ** 0.5
        for name in names(kind, config):
            drawn = [random.standard_normal(shape, np.float32) for _ in range(count)]
            tensors[name] = [as_bfloat16(1 + 0.1 * x if len(shape) == 1 else gain * x) for x in drawn]
    return tensors


def as_bfloat16(x: np.ndarray) -> np.ndarray:
    """Cut to bfloat16, as float32."""
    return (x.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)


def file_name(number: int, rank: int | None) -> str:
    return f"pytorch_model-{number:05d}-TP-{'common' if rank is None else f'{rank:03d}'}.safetensors"


def write_release(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, list[np.ndarray]]) -> None:
    """config.json and the files of weights: routers as float32, everything else as bfloat16."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    for number, kind in enumerate(KINDS):
        held = {name: tensors[name] for name in names(kind, config)}
        split = kind.rpartition(".")[2] in JOINED_ALONG
        for rank in range(len(next(iter(held.values())))):
            stored = {name: stored_as(pieces[rank], kind.endswith("moe.gate")) for name, pieces in held.items()}
            write_safetensors(folder / file_name(number, rank if split else None), stored)


def write_tokenizer(folder: Path, words: Sequence[bytes] = ()) -> None:
    """tokenizer.tok.json: three control tokens, the 256 bytes, and `words`, each of two tokens before it."""
    specials = ["<|pad|>", "<|separator|>", "<|eos|>"]
    regular = [bytes([byte]) for byte in range(256)] + list(words)
    stated = {
        "regular_tokens": [{"bytes": list(data), "token": i} for i, data in enumerate(regular, len(specials))],
        "special_tokens": [{"bytes": list(text.encode()), "token": i} for i, text in enumerate(specials)],
        "word_split": "V1",
    }
    (folder / "tokenizer.tok.json").write_text(json.dumps(stated))


def write_sparse(folder: Path, config: Mapping[str, Any]) -> None:
    """The files in their sizes, all weights zero: holes that take no disk."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    for number, kind in enumerate(KINDS):
        layout = safetensors_layout({name: ("BF16", piece_shape(kind, config)) for name in names(kind, config)})
        for rank in range(RANKS) if kind.rpartition(".")[2] in JOINED_ALONG else [None]:
            with (folder / file_name(number, rank)).open("wb") as file:
                file.write(layout.header)
                file.truncate(layout.size)


def stored_as(x: np.ndarray, wide: bool) -> tuple[str, tuple[int, ...], np.ndarray]:
    if wide:
        return "F32", x.shape, x
    return "BF16", x.shape, (x.view(np.uint32) >> 16).astype(np.uint16)
