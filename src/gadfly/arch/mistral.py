"""Mistral: a Llama whose tokens see a window of the past.

A query sees its own position and the `sliding_window - 1` before it, in every layer; what lies further back reaches it
through the layers below. From version 0.2 on the window is gone (null) and the base of rope a million. Its GGUF files
call themselves llama and do not mention the window: up to 4,096 tokens that is the same. Ours mention it, which is how
they are told from Llama's; llama.cpp reads over it.
Source: Jiang et al., arXiv 2310.06825; transformers, modeling_mistral.py.
"""

from typing import Any

from gadfly.arch import llama
from gadfly.arch.decoder import (
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

__all__ = ["PAGE"]


def read_spec(config: Config) -> ModelSpec:
    ffn = Dense(config.integer("intermediate_size"), read_activation(config))
    return windowed(read_decoder(config, read_attention(config), ffn), read_windows(config, lambda _: True))


def describe(spec: ModelSpec) -> dict[str, Any]:
    return {"sliding_window": None, **describe_decoder(spec)}


PAGE = Page(
    name="mistral",
    gguf_name="llama",
    hf_name="MistralForCausalLM",
    model_type="mistral",
    spec=read_spec,
    describe=describe,
    gguf=llama.PAGE.gguf,
    hf=Dialect(NameTable(HF_NAMES), ignored=HF_IGNORED),
    tensors=rope_tensors,
    notes=window_notes,
    claims=lambda config: config.gguf is None or (config.has("sliding_window") and not config.has("num_local_experts")),
)
