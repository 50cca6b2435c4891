"""Rotary embeddings as files describe them: a base, and ways to stretch it to longer contexts.

The runtime knows none of these ways. Each becomes divisors of the plain frequencies and a factor of what is turned
(`gadfly.spec.Rope`). GGUF files hold Llama 3's divisors as a tensor; config.json says how to compute them.
Sources: Peng et al., arXiv 2309.00071 (YaRN); transformers, modeling_rope_utils.py.
"""

import math
from typing import Any

import numpy as np

from gadfly.arch.page import Config
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.spec import ModelSpec, Rope

__all__ = ["describe_scaling", "read_rope", "rope_tensors", "yarn"]

LLAMA3 = {"low": 1.0, "high": 4.0}  # in every release so far
LENGTHS = [2**power for power in range(6, 18)]  # of a first training; Llama 3's is 8192


def read_rope(config: Config, head_dim: int, theta: float = 10000.0) -> Rope:
    """`theta` is the base if the file does not say. Raises UnsupportedError for ways of stretching unknown here."""
    return _from_gguf(config, head_dim, theta) if config.gguf is not None else _from_json(config, head_dim, theta)


def describe_scaling(rope: Rope) -> dict[str, Any]:
    """For config.json. Raises UnsupportedError for divisors that it has no words for."""
    if rope.magnitude != 1.0:
        raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
    return {"rope_scaling": _scaling(rope)} if rope.scaling else {}


def rope_tensors(spec: ModelSpec) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The divisors, for a GGUF file; none if the frequencies are plain."""
    scaling = spec.blocks[0].mixer.rope.scaling
    return {"spec.rope_scaling": np.array(scaling, np.float32)} if scaling else {}


def yarn(rope: Rope, factor: float, original: int, fast: float = 32.0, slow: float = 1.0) -> Rope:
    """Plain rope stretched from `original` positions to `factor` times as many, as llama.cpp does it.

    Pairs that turn `fast` times and more within the original context stay, those that turn less than `slow` times are
    slowed down by `factor`, and what lies between is mixed; everything that was turned grows with log factor.
    """
    first, last = (rope.dim * math.log(original / (2 * math.pi * n)) / (2 * math.log(rope.theta)) for n in (fast, slow))
    low, high = max(0, math.floor(first)), min(rope.dim - 1, math.ceil(last))
    ramp = np.clip((np.arange(rope.dim // 2) - low) / max(0.001, high - low), 0, 1)
    divisors = 1 / (ramp / factor + 1 - ramp)
    return Rope(rope.dim, rope.theta, tuple(divisors.tolist()), 1 + 0.1 * math.log(factor))


def _from_gguf(config: Config, head_dim: int, theta: float) -> Rope:
    dim = config.integer("rope.dimension_count", head_dim, low=2, high=head_dim)
    if dim % 2:
        raise ModelFileError(f"{config.source}: rope turns pairs, so {dim} components are one too many")
    scaling: tuple[float, ...] = ()
    kind = config.text("rope.scaling.type", "none")
    if "spec.rope_scaling" in config.tensors:
        scaling = tuple(config.tensors["spec.rope_scaling"].tolist())
        if len(scaling) != dim // 2 or not all(0 < divisor < np.inf for divisor in scaling):
            raise ModelFileError(f"{config.source}: rope_freqs.weight has to hold {dim // 2} positive numbers")
    elif kind == "linear":
        scaling = (config.number("rope.scaling.factor", 1.0),) * (dim // 2)
    elif kind != "none":
        raise UnsupportedError(f"{config.source}: rope scaling {kind!r} is not supported yet")
    return Rope(dim, config.number("rope_theta", theta, low=1.0), scaling)


def _from_json(config: Config, head_dim: int, theta: float) -> Rope:
    stated = config.within("rope_parameters")
    scaled = stated if stated.values else config.within("rope_scaling")
    share = config.number("partial_rotary_factor", 1.0, high=1.0)
    dim = int(head_dim * share)
    if dim % 2 or not dim:
        raise ModelFileError(f"{config.source}: rope turns pairs of components, so {dim} of each head cannot be turned")
    base = stated.number("rope_theta", config.number("rope_theta", theta, low=1.0), low=1.0)
    kind = scaled.text("rope_type", scaled.text("type", "default"))
    plain = np.array(Rope(dim, base).frequencies())
    if kind == "default":
        return Rope(dim, base)
    if kind == "linear":
        return Rope(dim, base, (scaled.number("factor"),) * (dim // 2))
    if kind == "llama3":
        length = scaled.number("original_max_position_embeddings")
        low = scaled.number("low_freq_factor", LLAMA3["low"])
        high = scaled.number("high_freq_factor", LLAMA3["high"], low=low)
        return Rope(dim, base, _llama3(plain, scaled.number("factor"), low, high, length))
    raise UnsupportedError(f"{config.source}: rope scaling {kind!r} is not supported yet")


def _llama3(plain: Any, factor: float, low: float, high: float, length: float) -> tuple[float, ...]:
    """Waves that fit the first context `high` times stay; those longer than a `low`th of it are stretched."""
    turns = length * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return tuple((1 / ((1 - smooth) / factor + smooth)).tolist())


def _scaling(rope: Rope) -> dict[str, Any]:
    divisors = np.array(rope.scaling)
    factor = float(divisors.max())
    if np.ptp(divisors) == 0:
        return {"rope_type": "linear", "factor": factor}
    plain = np.array(Rope(rope.dim, rope.theta).frequencies())
    for length in LENGTHS:
        if np.allclose(_llama3(plain, factor, **LLAMA3, length=length), divisors, rtol=1e-5):
            words = {"rope_type": "llama3", "factor": factor, "original_max_position_embeddings": length}
            return {**words, "low_freq_factor": LLAMA3["low"], "high_freq_factor": LLAMA3["high"]}
    raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
