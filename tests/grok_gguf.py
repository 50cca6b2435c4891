"""GGUF files of random Groks, as other programs write them: written out here, not taken from the code that reads them.

`golden_tensors` draws the very weights whose logits tests/data/tiny-grok-gguf.npz holds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gadfly.weights.gguf_writer import write_gguf

DIM, HEAD, HEADS, KV_HEADS, EXPERTS, VOCAB = 64, 16, 4, 2, 8, 512
KEYS: Mapping[str, Any] = {
    "general.architecture": "grok",
    "tokenizer.ggml.model": "none",
    "grok.block_count": 3,
    "grok.context_length": 8192,
    "grok.embedding_length": DIM,
    "grok.attention.head_count": HEADS,
    "grok.attention.head_count_kv": KV_HEADS,
    "grok.attention.layer_norm_rms_epsilon": 1e-5,
    "grok.rope.freq_base": 10000.0,
    "grok.rope.dimension_count": HEAD,
    "grok.expert_count": EXPERTS,
    "grok.expert_used_count": 2,
    "grok.vocab_size": VOCAB,
}
GENERATION_KEYS: Mapping[int, Mapping[str, Any]] = {
    1: {"grok.feed_forward_length": 128},  # its scales are llama.cpp's defaults
    2: {
        "grok.feed_forward_length": 192,
        "grok.expert_feed_forward_length": 96,
        "grok.attn_logit_softcapping": 30.0,
        "grok.router_logit_softcapping": 30.0,
        "grok.final_logit_softcapping": 50.0,
        "grok.attention.output_scale": 0.25,
        "grok.embedding_scale": 9.0509667991878,
        "grok.logit_scale": 0.5,
    },
}


def keys(generation: int) -> dict[str, Any]:
    return {**KEYS, **GENERATION_KEYS[generation]}


def golden_tensors(generation: int) -> dict[str, np.ndarray]:
    """Float32 by name, the same bits as when the logits of tests/data were computed."""
    random = np.random.default_rng(generation)
    dense, expert = {1: (0, 128), 2: (192, 96)}[generation]
    embedding_scale = {1: 78.38367176906169, 2: 9.0509667991878}[generation]

    def norm() -> np.ndarray:
        return (1 + 0.1 * random.standard_normal(DIM)).astype(np.float32)

    def matrix(*shape: int, gain: float = 1.0) -> np.ndarray:
        return random.standard_normal(shape, np.float32) * np.float32(gain / np.sqrt(shape[-1]))

    tensors = {
        "token_embd": random.standard_normal((VOCAB, DIM), np.float32) * np.float32(1 / embedding_scale),
        "output_norm": norm(),
        "output": matrix(VOCAB, DIM, gain={1: 3, 2: 30}[generation]),
    }
    for layer in range(3):
        block: dict[str, np.ndarray] = {}
        block["attn_norm"] = norm()
        block["attn_q"] = matrix(HEADS * HEAD, DIM, gain=5.5)
        block["attn_k"] = matrix(KV_HEADS * HEAD, DIM, gain=5.5)
        block["attn_v"] = matrix(KV_HEADS * HEAD, DIM)
        block["attn_output"] = matrix(DIM, HEADS * HEAD)
        block["attn_output_norm"] = norm()
        block["ffn_norm"] = norm()
        block["ffn_gate_inp"] = matrix(EXPERTS, DIM, gain=6)
        block["ffn_gate_exps"] = matrix(EXPERTS, expert, DIM, gain=1.5)
        block["ffn_up_exps"] = matrix(EXPERTS, expert, DIM)
        block["ffn_down_exps"] = matrix(EXPERTS, DIM, expert)
        if dense:
            block["ffn_gate"] = matrix(dense, DIM, gain=1.5)
            block["ffn_up"] = matrix(dense, DIM)
            block["ffn_down"] = matrix(DIM, dense)
        block["layer_output_norm" if generation == 1 else "post_ffw_norm"] = norm()
        tensors |= {f"blk.{layer}.{name}": array for name, array in block.items()}
    return {f"{name}.weight": array for name, array in tensors.items()}


def write_grok(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Path:
    write_gguf(path, metadata, {name: ("F32", array.shape, array) for name, array in tensors.items()})
    return path
