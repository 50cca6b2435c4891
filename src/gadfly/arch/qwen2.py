"""Qwen 2 and 2.5: a Llama whose queries, keys and values have biases.

The output of attention has none. Small members tie the output to the embedding. config.json may give layers from
`max_window_layers` on a window, which it switches on with `use_sliding_window`; no release does, and GGUF files know
nothing of it but for our own. Pairs of rope are halves in both kinds of file.
Source: Qwen team, arXiv 2412.15115; transformers, modeling_qwen2.py; llama.cpp, src/models/qwen2.cpp.
"""

from dataclasses import replace
from typing import Any

from gadfly.arch.decoder import (
    GGUF_BIASES,
    GGUF_NAMES,
    HF_BIASES,
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
from gadfly.spec import Dense, ModelSpec

__all__ = ["PAGE", "describe", "describe_windows", "with_windows"]


def read_spec(config: Config) -> ModelSpec:
    ffn = Dense(config.integer("intermediate_size"), read_activation(config))
    return with_windows(read_decoder(config, replace(read_attention(config), bias=True), ffn), config)


def with_windows(spec: ModelSpec, config: Config) -> ModelSpec:
    """As all Qwens up to the third have them."""
    if config.gguf is None and not config.flag("use_sliding_window", False):
        return spec
    first = config.integer("max_window_layers", len(spec.blocks), low=0)
    return windowed(spec, read_windows(config, lambda layer: layer >= first))


def describe(spec: ModelSpec) -> dict[str, Any]:
    return describe_decoder(spec) | describe_windows(spec)


def describe_windows(spec: ModelSpec) -> dict[str, Any]:
    """For programs that do not read `layer_types`."""
    windows = [block.mixer.window for block in spec.blocks]
    first = next((layer for layer, window in enumerate(windows) if window is not None), len(windows))
    return {"use_sliding_window": first < len(windows), "max_window_layers": first}


PAGE = Page(
    name="qwen2",
    gguf_name="qwen2",
    hf_name="Qwen2ForCausalLM",
    model_type="qwen2",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_BIASES)),
    hf=Dialect(NameTable(HF_NAMES, HF_BIASES), ignored=HF_IGNORED),
    tensors=rope_tensors,
    notes=window_notes,
)
