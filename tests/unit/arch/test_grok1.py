"""Grok-1 in files that are not xAI's: the names that other programs read, and what they need beside them."""

from pathlib import Path

import pytest

from gadfly.arch import grok1
from gadfly.weights.export import export
from gadfly.weights.load import open_model

DATA = Path(__file__).parents[2] / "data"
LAYER = {
    "pre_attn_norm.weight",
    "self_attn.q_proj.weight",
    "self_attn.k_proj.weight",
    "self_attn.v_proj.weight",
    "self_attn.o_proj.weight",
    "post_attn_norm.weight",
    "pre_moe_norm.weight",
    "block_sparse_moe.gate.weight",
    "post_moe_norm.weight",
}
GGUF_LAYER = {
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "attn_output_norm", "ffn_norm"),
    *("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "layer_output_norm"),
}


@pytest.fixture(scope="module")
def model():
    return open_model(DATA / "tiny-grok-1")


def test_names_of_sglang(model):
    """models/grok.py, commit 031ad4c: its parameters before they are fused. It knows no tied output."""
    experts = {
        f"block_sparse_moe.experts.{i}.w{j}.weight" for i in range(model.spec.blocks[0].ffn.experts) for j in (1, 2, 3)
    }
    layers = {f"model.layers.{i}.{name}" for i in range(len(model.spec.blocks)) for name in LAYER | experts}
    names = [tensor.name for tensor in export(model.weights, model.spec, grok1.PAGE.hf)]
    assert set(names) == layers | {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
    assert len(names) == len(set(names))


def test_names_of_llama_cpp(model):
    """src/models/grok.cpp, commit 0c1e570. It takes the embedding where there is no output."""
    layers = {f"blk.{i}.{name}.weight" for i in range(len(model.spec.blocks)) for name in GGUF_LAYER}
    names = [tensor.name for tensor in export(model.weights, model.spec, grok1.PAGE.gguf)]
    assert set(names) == layers | {"token_embd.weight", "output_norm.weight"}


def test_shapes_are_those_of_linear_layers(model):
    dim, ffn = model.spec.dim, model.spec.blocks[0].ffn
    shapes = {tensor.name: tensor.shape for tensor in export(model.weights, model.spec, grok1.PAGE.hf)}
    expert = "model.layers.1.block_sparse_moe.experts.2"
    assert shapes[f"{expert}.w1.weight"] == shapes[f"{expert}.w3.weight"] == (ffn.hidden, dim)
    assert shapes[f"{expert}.w2.weight"] == (dim, ffn.hidden)
    assert shapes["model.layers.1.block_sparse_moe.gate.weight"] == (ffn.experts, dim)
