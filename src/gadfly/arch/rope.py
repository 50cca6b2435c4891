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

__all__ = ["describe_rope", "read_rope", "rope_keys", "rope_tensors"]

LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}  # in every release so far
LLAMA3_LENGTH = 8192


def read_rope(config: Config, head_dim: int, theta: float = 10000.0, layers: str | None = None) -> Rope:
    """`theta` is the base if the file does not say, `layers` a type of layers that a config.json may say it for.

    Raises UnsupportedError for ways of stretching unknown here.
    """
    if config.gguf is not None:
        return _from_gguf(config, head_dim, theta)
    return _from_json(config, head_dim, theta, layers)


def describe_rope(rope: Rope) -> dict[str, Any]:
    """For config.json. Raises UnsupportedError for divisors that it has no words for."""
    described: dict[str, Any] = {"rope_theta": rope.theta}
    if rope.magnitude != 1.0:
        raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
    if rope.scaling:
        described["rope_scaling"] = _scaling(rope)
    return described


def rope_keys(rope: Rope) -> dict[str, Any]:
    """For a GGUF file, as they stand behind the architecture's name: what is turned, and a uniform stretching."""
    keys: dict[str, Any] = {"rope.dimension_count": rope.dim}
    if rope.scaling and _uniform(rope):
        keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": rope.scaling[0]}
    return keys


def rope_tensors(spec: ModelSpec) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The divisors, for a GGUF file; none if keys can say it."""
    rope = spec.blocks[0].mixer.rope
    return {} if _uniform(rope) else {"spec.rope_scaling": np.array(rope.scaling, np.float32)}


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
    return Rope(dim, config.number("rope_theta", theta), scaling)


def _from_json(config: Config, head_dim: int, theta: float, layers: str | None) -> Rope:
    stated = config.within("rope_parameters")
    if layers is not None and layers in stated.values:
        stated = stated.within(layers)
    scaled = stated if stated.values else config.within("rope_scaling")
    share = stated.number("partial_rotary_factor", config.number("partial_rotary_factor", 1.0, high=1.0), high=1.0)
    dim = int(head_dim * share)
    if dim % 2:
        raise ModelFileError(f"{config.source}: rope turns pairs, so {dim} components are one too many")
    base = stated.number("rope_theta", config.number("rope_theta", theta))
    kind = scaled.text("rope_type", scaled.text("type", "default"))
    plain = np.array(Rope(dim, base).frequencies())
    if kind == "default":
        return Rope(dim, base)
    if kind == "linear":
        return Rope(dim, base, (scaled.number("factor"),) * (dim // 2))
    if kind == "llama3":
        length = scaled.number("original_max_position_embeddings")
        low, high = (scaled.number(name, default) for name, default in LLAMA3.items())
        return Rope(dim, base, _llama3(plain, scaled.number("factor"), low, high, length))
    raise UnsupportedError(f"{config.source}: rope scaling {kind!r} is not supported yet")


def _llama3(plain: Any, factor: float, low: float, high: float, length: float) -> tuple[float, ...]:
    """Waves that fit the first context `high` times stay; those longer than a `low`th of it are stretched."""
    turns = length * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return tuple((1 / ((1 - smooth) / factor + smooth)).astype(np.float32).tolist())  # as in a GGUF file


def _uniform(rope: Rope) -> bool:
    return len(set(rope.scaling)) <= 1


def _scaling(rope: Rope) -> dict[str, Any]:
    divisors = np.array(rope.scaling)
    factor = float(divisors.max())
    if _uniform(rope):
        return {"rope_type": "linear", "factor": factor}
    plain = np.array(Rope(rope.dim, rope.theta).frequencies())
    known = _llama3(plain, factor, LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"], LLAMA3_LENGTH)
    if not np.allclose(known, divisors, rtol=1e-5):
        raise UnsupportedError("this model's rope scaling cannot be written to a config.json; convert to GGUF instead")
    words = {"rope_type": "llama3", "factor": factor, "original_max_position_embeddings": LLAMA3_LENGTH}
    return {**words, **LLAMA3}
