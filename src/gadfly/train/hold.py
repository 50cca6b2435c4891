"""What a model is held to while it learns something else: what it said of other questions before.

Of every token of these answers, the whole next-token distribution is compared with that of the base, and how far it
went costs: `weight` times the mean of KL(base ‖ model), in nats per token (Li and Hoiem, arXiv 1606.09282, with answers
in place of labels). Where nothing is learnt yet, that is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gadfly.errors import RequestError
from gadfly.train.objective import Numbers
from gadfly.train.packing import Sequences, epoch_order

__all__ = ["Hold", "HoldConfig"]


@dataclass(frozen=True)
class HoldConfig:
    """`data` are conversations, best of the base itself, or `questions` are what it is asked for them: see `Interview`.

    `batch` of them go beside the samples of each step.
    """

    data: str = ""
    questions: str = ""
    weight: float = 4.0
    batch: int = 8

    def __post_init__(self) -> None:
        for name, low, high in (("weight", 0, 1000), ("batch", 1, 100_000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise RequestError(f"{name} is {value:g}; choose a number from {low:g} to {high:g}")

    @property
    def wanted(self) -> bool:
        return bool(self.data or self.questions) and self.weight > 0


@dataclass(frozen=True, eq=False)
class Hold:
    """See the module. `digest` stands for the samples whose `sequences` these are."""

    sequences: Sequence[Sequences]
    digest: str
    weight: float
    batch: int
    seed: int

    def numbers(self, step: int) -> Numbers:
        """Of the samples of a step, counted from 0: all are met before one is met again, in another order then."""
        count = len(self.sequences)
        size = min(self.batch, count)
        turns, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
        orders = {turn: epoch_order(count, self.seed, turn) for turn in set(turns.tolist())}
        return np.array([orders[turn][place] for turn, place in zip(turns, places, strict=True)], np.intp)

    def met_again(self, steps: int) -> bool:
        """Whether any of them is, in so many steps."""
        return steps * min(self.batch, len(self.sequences)) > len(self.sequences)
