"""The numbers that a model begins with: normally distributed, of a size that keeps activations and logits sane.

    matrices         deviation in^-½, so that what goes in and what comes out are of the same size
    output, down     less by (2 · layers)^-½: every layer adds two of them, and the sum should not grow with the depth
    embedding        dim^-½: a normalised row times it is a logit of about 1, before the model's own scale of logits
    norms, biases    one and zero

Any stretch of a tensor can be drawn alone: a number depends on seed, name and place, not on who asks for how many.
Sources: Radford et al. 2019 (GPT-2), for the scale of what is added up; Glorot & Bengio 2010, for the rest.
"""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

__all__ = ["deviation", "generator", "normal", "vector"]

BLOCK = 2**18  # numbers that one generator draws


def deviation(path: str, shape: tuple[int, ...], layers: int) -> float:
    """Of the numbers of a matrix, or of a stack of them."""
    added = path.endswith(("mixer.output", ".down"))
    return float(shape[-1] ** -0.5 * ((2 * layers) ** -0.5 if added else 1))


def vector(path: str, length: int) -> NDArray[np.float32]:
    return np.full(length, not path.endswith("bias"), np.float32)


def normal(seed: int, name: str, first: int, last: int) -> NDArray[np.float32]:
    """Numbers first … last - 1 of a tensor, of deviation 1."""
    parts = []
    for block in range(first // BLOCK, -(-last // BLOCK)):
        drawn = generator(seed, name, block).standard_normal(BLOCK, np.float32)
        parts.append(drawn[max(first - block * BLOCK, 0) : last - block * BLOCK])
    return np.concatenate(parts) if len(parts) != 1 else parts[0]


def generator(seed: int, name: str, block: int) -> np.random.Generator:
    """Independent for every name and block."""
    key = int.from_bytes(sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.SFC64([seed, key, block]))
