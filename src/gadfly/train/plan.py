"""How long a run is, and how fast it learns."""

import math
from dataclasses import dataclass

from gadfly.errors import RequestError

__all__ = ["Plan"]

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Plan:
    """How long and how fast. `batch` samples make a step, which is computed in packs of up to `pack_tokens` tokens.

    The learning rate rises for `warm_up` of all steps, then falls to zero as a cosine does (arXiv 1608.03983).
    `precision` is that of the weights that stay and of what passes through them; what is learnt is float32, and so are
    norms and losses.
    """

    epochs: float = 3.0
    batch: int = 16
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 0.0
    clip: float = 1.0  # norm of the gradient
    pack_tokens: int = 1024
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise RequestError(f"precision is {self.precision!r:.40}; there are {' and '.join(PRECISIONS)}")
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise RequestError(f"{name} is {value!r:.40}; expected a number from {low:g} to {high:g}")

    def steps(self, samples: int) -> int:
        return max(1, round(self.epochs * math.ceil(samples / self.batch)))

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        rising = max(1, round(self.warm_up * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


_LIMITS = (
    ("epochs", 0.001, 10_000),
    ("batch", 1, 100_000),
    ("learning_rate", 0, 1),
    ("warm_up", 0, 1),
    ("weight_decay", 0, 10),
    ("clip", 1e-9, 1e9),
    ("pack_tokens", 16, 2**20),
    ("seed", 0, 2**62),
)
