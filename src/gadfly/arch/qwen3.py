"""Qwen 3: a Llama that normalises every head of its queries and keys before it turns them.

The two norms of a layer are as wide as one head, and shared by all. There are no biases any more. The size of a head is
stated, and not what dim / heads would make it. Windows are as in Qwen 2.
Source: Qwen team, arXiv 2505.09388; transformers, modeling_qwen3.py; llama.cpp, src/models/qwen3.cpp.
"""

from dataclasses import replace

from gadfly.arch.decoder import (
    GGUF_HEAD_NORMS,
    GGUF_NAMES,
    HF_HEAD_NORMS,
    HF_IGNORED,
    HF_NAMES,
    read_activation,
    read_attention,
    read_decoder,
    require_absent,
    window_notes,
)
from gadfly.arch.page import Config, Dialect, Page
from gadfly.arch.qwen2 import describe, with_windows
from gadfly.arch.rope import rope_tensors
from gadfly.names import NameTable
from gadfly.spec import Attention, Dense, ModelSpec

__all__ = ["PAGE", "read_normed_attention"]


def read_spec(config: Config) -> ModelSpec:
    ffn = Dense(config.integer("intermediate_size"), read_activation(config))
    return with_windows(read_decoder(config, read_normed_attention(config), ffn), config)


def read_normed_attention(config: Config) -> Attention:
    require_absent(config, "attention_bias")
    return replace(read_attention(config), head_norm=config.number("rms_norm_eps", high=1.0))


PAGE = Page(
    name="qwen3",
    gguf_name="qwen3",
    hf_name="Qwen3ForCausalLM",
    model_type="qwen3",
    spec=read_spec,
    describe=describe,
    gguf=Dialect(NameTable(GGUF_NAMES, GGUF_HEAD_NORMS)),
    hf=Dialect(NameTable(HF_NAMES, HF_HEAD_NORMS), ignored=HF_IGNORED),
    tensors=rope_tensors,
    notes=window_notes,
)
