"""Grok-2, from folders in the release's sharding, against the formulas of its reference written down once more.

They are SGLang's, in float64 and without its roundings to bfloat16, in torch, with nothing of Gadfly in them: pieces of
experts are never joined, but computed rank by rank and added up, as the ranks' all-reduce does.
Source: sgl-project/sglang @ 031ad4c, python/sglang/srt: models/grok.py, and the layers named where they are used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.arch import grok2
from gadfly.spec import Block, ModelSpec
from grok2_release import TINY, random_tensors, write_release

torch = pytest.importorskip("torch")

Change = Callable[[ModelSpec], ModelSpec]


def logits(config: Mapping[str, Any], tensors: Mapping[str, list[np.ndarray]], ids: Sequence[int]) -> np.ndarray:
    """(tokens, vocab)."""
    w = {name: [torch.from_numpy(piece.astype(np.float64)) for piece in pieces] for name, pieces in tensors.items()}
    eps = config["rms_norm_eps"]

    def rms(x, name):  # layers/elementwise.py, fused_rmsnorm
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w[f"{name}.weight"][0]

    def linear(x, name, rank=0):
        return x @ w[f"{name}.weight"][rank].T

    h = w["model.embed_tokens.weight"][0][torch.tensor(ids)] * config["embedding_multiplier_scale"]  # Grok1Model
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        a = rms(h, f"{name}.pre_attn_norm")
        h = h + rms(
            attention(config, a, lambda x, p, n=name: linear(x, f"{n}.self_attn.{p}")), f"{name}.post_attn_norm"
        )
        m = rms(h, f"{name}.pre_moe_norm")
        dense = linear(
            gelu(linear(m, f"{name}.mlp.gate_proj")) * linear(m, f"{name}.mlp.up_proj"), f"{name}.mlp.down_proj"
        )
        experts = mixture(config, m, linear(m, f"{name}.block_sparse_moe.gate"), f"{name}.block_sparse_moe", w, linear)
        f = (dense + experts) / 1.4142135623730951  # Grok1DecoderLayer.moe_with_rmoe
        h = h + rms(f, f"{name}.post_moe_norm")
    x = linear(rms(h, "model.norm"), "lm_head") * config["output_multiplier_scale"]  # load_weights folds it in lm_head
    cap = config["final_logit_softcapping"]
    return (cap * torch.tanh(x / cap)).numpy()  # layers/logits_processor.py, _get_logits


def gelu(x):  # layers/elementwise.py, gelu_and_mul_kernel: erf
    return x * 0.5 * (1 + torch.erf(x * 0.5**0.5))


def rotated(x, theta):  # Grok1Attention's ScalingRotaryEmbedding with extra_method "original", neox style
    half = x.shape[-1] // 2
    inv_freq = 1.0 / theta ** (torch.arange(half, dtype=torch.float64) * 2 / x.shape[-1])
    angle = torch.outer(torch.arange(len(x), dtype=torch.float64), inv_freq)[:, None]
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], -1)


def attention(config, a, linear):  # layers/attention/triton_ops/decode_attention.py: scale, cap, temperature, mask
    size, tokens = config["head_dim"], len(a)
    q, k, v = (linear(a, f"{part}_proj").reshape(tokens, -1, size) for part in "qkv")
    q, k = rotated(q, config["rope_theta"]), rotated(k, config["rope_theta"])
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    cap, length = config["attn_logit_softcapping"], config["attn_temperature_len"]
    position = torch.arange(tokens, dtype=torch.float64)
    temperature = torch.where(position > length, torch.log2(position.clamp(min=1)) / np.log2(length), 1.0)
    out = []
    for head in range(config["num_attention_heads"]):
        s = q[:, head] @ k[:, head // group].T * size**-0.5
        s = cap * torch.tanh(s / cap)
        s = s * temperature[:, None]
        s = s.masked_fill(torch.ones(tokens, tokens, dtype=torch.bool).triu(1), float("-inf"))
        out.append(torch.softmax(s, -1) @ v[:, head // group])
    return linear(torch.cat(out, -1), "o_proj")


def mixture(config, m, router, name, w, linear):  # layers/moe/router.py, fused_moe_router; no renormalisation
    cap = 30.0  # Grok1MoE.router_logit_softcapping
    chances = torch.softmax(cap * torch.tanh(router / cap), -1)
    best = torch.topk(chances, config["num_experts_per_tok"], -1).indices
    out = torch.zeros_like(m)
    for token, chosen in enumerate(best.tolist()):
        x = m[token : token + 1]
        for expert in chosen:
            part = f"{name}.experts.{expert}"
            for rank in range(len(w[f"{part}.w1.weight"])):  # tensor_model_parallel_all_reduce
                hidden = gelu(linear(x, f"{part}.w1", rank)) * linear(x, f"{part}.w3", rank)
                out[token] += chances[token, expert] * linear(hidden, f"{part}.w2", rank)[0]
    return out


def ids(config: Mapping[str, Any], count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, config["vocab_size"], count).tolist()


SHAPES = [
    (TINY, 8),
    (TINY, 1),
    ({**TINY, "num_key_value_heads": 4, "num_local_experts": 8, "num_experts_per_tok": 3, "vocab_size": 33}, 2),
    ({**TINY, "head_dim": 16, "num_hidden_layers": 3, "moe_intermediate_size": 16}, 8),  # heads wider than the model
    ({**TINY, "num_key_value_heads": 1, "num_local_experts": 2, "intermediate_size": 24, "rope_theta": 10000}, 2),
]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("config", "ranks"), SHAPES)
def test_reference_is_the_release(tmp_path: Path, config: Mapping[str, Any], ranks: int, seed: int) -> None:
    tensors = random_tensors(config, seed, ranks)
    write_release(tmp_path / "grok-2", config, tensors)
    llm = gadfly.load(tmp_path / "grok-2", backend="reference")
    prompt = ids(config, 40, seed)
    expected = logits(config, tensors, prompt)
    np.testing.assert_allclose(llm.logits(prompt), expected, rtol=0, atol=1e-4)


def test_every_peculiarity_is_felt(tmp_path: Path) -> None:
    """Otherwise the test above would not tell."""
    write_release(tmp_path / "grok-2", TINY, random_tensors(TINY, 3))
    prompt = ids(TINY, 40)
    right = gadfly.load(tmp_path / "grok-2", backend="reference").logits(prompt)
    for part, change in CHANGES.items():
        wrong = gadfly.load(tmp_path / "grok-2", backend="reference", spec=change).logits(prompt)
        assert np.abs(wrong - right).max() > 1e-2, part


def test_temperature_beyond_the_length_of_the_release(tmp_path: Path) -> None:
    config = {**TINY, "attn_temperature_len": 1024, "num_hidden_layers": 1}
    tensors = random_tensors(config, 4)
    write_release(tmp_path / "grok-2", config, tensors)
    prompt = ids(config, 1100)
    found = gadfly.load(tmp_path / "grok-2", backend="reference").logits(prompt)
    np.testing.assert_allclose(found, logits(config, tensors, prompt), rtol=0, atol=1e-4)
    cold = gadfly.load(tmp_path / "grok-2", backend="reference", spec=CHANGES["temperature"]).logits(prompt)
    np.testing.assert_array_equal(cold[:1025], found[:1025])
    assert np.abs(cold[1025:] - found[1025:]).max() > 1e-4


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("config", "ranks"), SHAPES)
def test_native_follows_it(tmp_path: Path, config: Mapping[str, Any], ranks: int, seed: int) -> None:
    """As closely as a rounded cache can in a model this small; see `test_ops` for the parts."""
    write_release(tmp_path / "grok-2", config, random_tensors(config, seed, ranks))
    prompt = ids(config, 40, seed)
    exact = gadfly.load(tmp_path / "grok-2", backend="reference").logits(prompt)
    close = gadfly.load(tmp_path / "grok-2", threads=2).logits(prompt)
    assert np.sqrt(np.mean(np.square(close - exact))) < 0.1 * exact.std()


def mixer(**changes: Any) -> Change:
    return lambda spec: blocks(spec, lambda block: replace(block, mixer=replace(block.mixer, **changes)))


def moe(**changes: Any) -> Change:
    return lambda spec: blocks(
        spec, lambda block: replace(block, ffn=replace(block.ffn, moe=replace(block.ffn.moe, **changes)))
    )


def blocks(spec: ModelSpec, change: Callable[[Block], Block]) -> ModelSpec:
    return replace(spec, blocks=tuple(map(change, spec.blocks)))


CHANGES: Mapping[str, Change] = {
    "temperature": mixer(temperature=None),
    "cap of scores": mixer(softcap=None),
    "cap of the router": moe(router_softcap=None),
    "weights as they are": moe(renormalised=True),
    "cap of logits": lambda spec: replace(spec, logit_softcap=None),
    "scale of the embedding": lambda spec: replace(spec, embedding_scale=1.0),
    "llama.cpp": grok2.as_llama_cpp,
}
