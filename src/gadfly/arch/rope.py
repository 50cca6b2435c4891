"""Rotary embeddings as files describe them: a base, and ways to stretch it to longer contexts.

The runtime knows none of these ways. Each becomes divisors of the plain frequencies and a factor of what is turned
(`gadfly.spec.Rope`). GGUF files hold divisors that differ as tensors; config.json says how to compute Llama 3's.
Sources: Ding et al., arXiv 2402.13753 (LongRoPE); transformers, modeling_rope_utils.py; llama.cpp, llama-model.cpp.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch.page import Config
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.spec import LongRope, ModelSpec, Rope

__all__ = ["describe_scaling", "read_rope", "rope_tensors", "scaling_keys", "yarn"]

LEAST_BASE = 1.0  # of frequencies that fall
LLAMA3 = {"low": 1.0, "high": 4.0}  # in every release so far
LENGTHS = [2**power for power in range(6, 18)]  # of a first training; Llama 3's is 8192


def read_rope(config: Config, head_dim: int, theta: float = 10000.0, layers: str | None = None) -> Rope:
    """`theta` is the base if the file does not say, `layers` a type of layers that a config.json may say it for.

    Raises UnsupportedError for ways of stretching unknown here.
    """
    if config.gguf is not None:
        return _from_gguf(config, head_dim, theta)
    return _from_json(config, head_dim, theta, layers)


def describe_scaling(rope: Rope) -> dict[str, Any]:
    """For config.json. Raises UnsupportedError for divisors that it has no words for."""
    if rope.long is not None:
        factors = {"short_factor": list(rope.scaling), "long_factor": list(rope.long.scaling)}
        words = {"rope_type": "longrope", **factors, "attention_factor": rope.magnitude}
        return {"rope_scaling": words, "original_max_position_embeddings": rope.long.context}
    if rope.magnitude != 1.0:
        raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
    return {"rope_scaling": _scaling(rope)} if rope.scaling else {}


def scaling_keys(rope: Rope) -> dict[str, Any]:
    """For a GGUF file, as they stand behind the architecture's name: what needs no tensors, and what they need."""
    if rope.long is not None:
        return {"rope.scaling.original_context_length": rope.long.context, "rope.scaling.attn_factor": rope.magnitude}
    return {"rope.scaling.type": "linear", "rope.scaling.factor": rope.scaling[0]} if _stretched(rope) else {}


def rope_tensors(spec: ModelSpec) -> dict[str, NDArray[np.float32]]:
    """The divisors, for a GGUF file; none if `scaling_keys` can say it."""
    rope, float32 = spec.blocks[0].mixer.rope, partial(np.array, dtype=np.float32)
    if rope.long is not None:
        return {"spec.rope_short": float32(rope.scaling), "spec.rope_long": float32(rope.long.scaling)}
    return {} if not rope.scaling or _stretched(rope) else {"spec.rope_scaling": float32(rope.scaling)}


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
    base = config.number("rope_theta", theta, low=LEAST_BASE)
    if "spec.rope_long" in config.tensors:
        long = LongRope(config.integer("rope.scaling.original_context_length"), _tensor(config, "rope_long", dim))
        return Rope(dim, base, _tensor(config, "rope_short", dim), config.number("rope.scaling.attn_factor", 1.0), long)
    if "spec.rope_scaling" in config.tensors:
        return Rope(dim, base, _tensor(config, "rope_scaling", dim))
    kind = config.text("rope.scaling.type", "none")
    if kind == "linear":
        return Rope(dim, base, (config.number("rope.scaling.factor", 1.0),) * (dim // 2))
    if kind != "none":
        raise UnsupportedError(f"{config.source}: rope scaling {kind!r} is not supported yet")
    return Rope(dim, base)


def _tensor(config: Config, name: str, dim: int) -> tuple[float, ...]:
    return _divisors(config.source, f"its tensor of {name.replace('_', ' ')}", config.tensors.get(f"spec.{name}"), dim)


def _divisors(source: str, name: str, values: Any, dim: int) -> tuple[float, ...]:
    """As float32, which is what both kinds of files mean."""
    try:
        divisors: tuple[float, ...] = tuple(np.array(values, np.float32).tolist())
    except (TypeError, ValueError, OverflowError):
        divisors = ()
    if len(divisors) != dim // 2 or not all(isinstance(d, float) and 0 < d < math.inf for d in divisors):
        raise ModelFileError(f"{source}: {name} has to hold {dim // 2} positive numbers")
    return divisors


def _from_json(config: Config, head_dim: int, theta: float, layers: str | None) -> Rope:
    stated = config.within("rope_parameters")
    if layers is not None and layers in stated.values:
        stated = stated.within(layers)
    scaled = stated if stated.values else config.within("rope_scaling")
    share = stated.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0, high=1.0), high=1.0)
    dim = int(head_dim * share)
    if dim % 2 or not dim:
        raise ModelFileError(f"{config.source}: rope turns pairs, so it cannot turn {dim} components")
    base = stated.number("rope_theta", config.number("rope_theta", theta, low=LEAST_BASE), low=LEAST_BASE)
    kind = scaled.text("rope_type", scaled.text("type", "default"))
    if kind == "default":
        return Rope(dim, base)
    if kind == "linear":
        return Rope(dim, base, (scaled.number("factor"),) * (dim // 2))
    if kind == "llama3":
        length = scaled.number("original_max_position_embeddings")
        low, high = (scaled.number(f"{name}_freq_factor", default) for name, default in LLAMA3.items())
        if low >= high:
            raise scaled.error("high_freq_factor", f"more than low_freq_factor, {low:g}")
        plain = np.array(Rope(dim, base).frequencies())
        return Rope(dim, base, _llama3(plain, scaled.number("factor"), low, high, length))
    if kind in ("longrope", "su"):
        return _long(config, scaled, dim, base)
    raise UnsupportedError(f"{config.source}: rope scaling {kind[:40]!r} is not supported yet")


def _long(config: Config, scaled: Config, dim: int, base: float) -> Rope:
    stated = scaled if scaled.get("original_max_position_embeddings") is not None else config
    length = stated.integer("original_max_position_embeddings", low=2)
    factor = config.integer("max_position_embeddings") / length
    magnitude = math.sqrt(1 + math.log(factor) / math.log(length)) if factor > 1 else 1.0
    short, long = (_divisors(scaled.source, name, scaled.get(name), dim) for name in ("short_factor", "long_factor"))
    return Rope(dim, base, short, scaled.number("attention_factor", magnitude), LongRope(length, long))


def _llama3(plain: Any, factor: float, low: float, high: float, length: float) -> tuple[float, ...]:
    """Waves that fit the first context `high` times stay; those longer than a `low`th of it are stretched."""
    turns = length * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return tuple((1 / ((1 - smooth) / factor + smooth)).astype(np.float32).tolist())  # as in a GGUF file


def _stretched(rope: Rope) -> bool:
    """All frequencies by the same factor."""
    return len(set(rope.scaling)) == 1


def _scaling(rope: Rope) -> dict[str, Any]:
    divisors = np.array(rope.scaling)
    factor = float(divisors.max())
    if _stretched(rope):
        return {"rope_type": "linear", "factor": factor}
    plain = np.array(Rope(rope.dim, rope.theta).frequencies())
    for length in LENGTHS:
        if np.allclose(_llama3(plain, factor, **LLAMA3, length=length), divisors, rtol=1e-5):
            words = {"rope_type": "llama3", "factor": factor, "original_max_position_embeddings": length}
            return {**words, "low_freq_factor": LLAMA3["low"], "high_freq_factor": LLAMA3["high"]}
    raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
