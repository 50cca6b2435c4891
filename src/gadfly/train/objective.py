"""What a run learns from: samples, each of one or more sequences, and what the loss of a pack of them is.

An objective sees −log p of the tokens that are to be learnt and nothing else of a model, so it knows no architecture,
and neither adapters nor steps. This one learns to say what stands there; `preference` learns from judgements.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gadfly.train.data.sample import Sample
from gadfly.train.packing import Pack, Sequences

__all__ = ["Likelihoods", "Numbers", "Objective", "Supervised", "sequence_sums"]

Likelihoods = Callable[[Sequence[Sample]], Tensor]  # log p of all that is learnt of each: (sequences,), float32, on CPU
Numbers = NDArray[np.intp]  # of samples


class Objective(Protocol):
    """`sequences` are those of every sample, and `memory`, changed in place, what has to outlive an interruption.

    Losses and weights are sums over the samples of a pack, and those of a step are added before one is divided by the
    other, so that it does not matter how a step is packed.
    """

    @property
    def sequences(self) -> Sequence[Sequences]: ...

    @property
    def memory(self) -> Mapping[str, Tensor]: ...

    def begin(self, numbers: Numbers, base: Likelihoods, now: Likelihoods) -> None:
        """These samples are next. What the model says of sequences may be asked: before it learnt anything, and now."""

    def weight(self, pack: Pack) -> float:
        """What losses are divided by."""

    def loss(self, pack: Pack, losses: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        """`losses` are −log p times the pack's weights, (rows,). Beside the loss, sums of other figures to show."""


class Supervised:
    """Every learnt token counts the same, times the weight of its sample."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.sequences: list[Sequences] = [(one,) for one in samples]
        self.memory: dict[str, Tensor] = {}

    def begin(self, numbers: Numbers, base: Likelihoods, now: Likelihoods) -> None:
        pass

    def weight(self, pack: Pack) -> float:
        return float(pack.weights.sum(dtype=np.float64))

    def loss(self, pack: Pack, losses: Tensor) -> tuple[Tensor, Mapping[str, float]]:  # noqa: ARG002
        return losses.sum(), {}


def sequence_sums(pack: Pack, losses: Tensor) -> Tensor:
    """Of the rows of each sequence: (sequences,)."""
    return torch.stack([part.sum() for part in torch.split(losses, list(pack.learnt))])
