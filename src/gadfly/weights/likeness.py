"""Whether a model is the one that something was made for: a digest of some of its numbers.

Of a few rows of the first and last block, the embedding and the norms, as the file holds them. Another model has
others, and so has the same one in another format or with an adapter merged into it.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from gadfly.quant import decode
from gadfly.spec import ModelSpec
from gadfly.weight import Int8, Plain, Quantised, Stack, Weight, Weights, unstack

__all__ = ["likeness"]

ROWS = 2


def likeness(spec: ModelSpec, weights: Weights[Weight]) -> str:
    """Hexadecimal. Reads some hundred kilobytes, whatever the size of the model."""
    digest = hashlib.sha256()
    last = f"blocks.{len(spec.blocks) - 1}."
    for path in sorted(weights):
        if not path.startswith("blocks.") or path.startswith(("blocks.0.", last)):
            digest.update(path.encode())
            for chunk in _begin(weights[path]):
                digest.update(chunk)
    return digest.hexdigest()


def _begin(weight: Weight) -> Iterator[bytes]:
    part = unstack(weight)[0] if isinstance(weight, Stack) or len(weight.shape) == 3 else weight
    assert not isinstance(part, Stack)
    match part.rows(slice(0, ROWS)) if len(part.shape) == 2 else part:
        case Plain(array):
            yield np.ascontiguousarray(array, np.float32).tobytes()
        case Quantised(name, shape, blocks):
            yield decode(name, blocks).reshape(shape).tobytes()
        case Int8() as int8:
            yield int8.decode().tobytes()
        case other:
            yield from _begin(other.rows(slice(None)))
