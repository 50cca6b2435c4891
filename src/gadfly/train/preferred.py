"""Learning from judgements: which of two answers is better, or whether one was liked.

The model is held against itself as it was: a reply's gain is how much likelier it has become, log π - log π₀, and
`beta` times that its reward. What π₀ said is computed once, with the adapter at strength 0.

    Preferred   −log σ(beta · (gain of the chosen - gain of the rejected)): Rafailov et al., arXiv 2305.18290. Where
                both are much alike, that would as soon make both unlikelier; `penalty` counts what the chosen one lost
                (Pal et al., arXiv 2402.13228) and `likelihood` adds its plain loss per token (arXiv 2404.19733)
    Liked       1 - σ(± beta · (gain - what unrelated replies gain)): Ethayarajh et al., arXiv 2402.01306
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.errors import RequestError
from gadfly.train.data.sample import Sample
from gadfly.train.objective import Likelihoods, Numbers, sequence_sums
from gadfly.train.packing import Pack, Sequences

__all__ = ["Judged", "Liked", "Pair", "PreferenceConfig", "Preferred"]

SLACK = 0.01  # nats that may be lost: more than rounding, which is all that a gain is at first


@dataclass(frozen=True)
class PreferenceConfig:
    """`beta` holds the model to what it was; `penalty` and `likelihood` are for pairs only."""

    beta: float = 0.1
    penalty: float = 5.0
    likelihood: float = 0.2

    def __post_init__(self) -> None:
        for name, low in (("beta", 1e-4), ("penalty", 0.0), ("likelihood", 0.0)):
            value = getattr(self, name)
            if not low <= value <= 1000:
                raise RequestError(f"{name} is {value:g}; choose a number from {low:g} to 1000")


@dataclass(frozen=True, eq=False)
class Pair:
    """A conversation with the answer that was chosen, and with the one that was rejected."""

    chosen: Sample
    rejected: Sample
    weight: float = 1.0


class Preferred:
    """See the module."""

    def __init__(self, pairs: Sequence[Pair], config: PreferenceConfig) -> None:
        self.sequences: list[Sequences] = [(one.chosen, one.rejected) for one in pairs]
        self.memory = {"before": _unknown(len(pairs))}
        self._config = config
        self._weights = torch.tensor([one.weight for one in pairs])

    def begin(self, numbers: Numbers, base: Likelihoods, now: Likelihoods) -> None:  # noqa: ARG002
        _recall(self.memory["before"], numbers, self.sequences, base)

    def weight(self, pack: Pack) -> float:
        return float(self._weights[pack.samples].sum())

    def loss(self, pack: Pack, losses: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        said = -sequence_sums(pack, losses).view(-1, 2)
        before, weights = (of[pack.samples].to(said.device) for of in (self.memory["before"], self._weights))
        chosen, rejected = (said - before).unbind(1)
        lost = self._config.penalty * F.relu(-chosen - SLACK)
        loss = -F.logsigmoid(self._config.beta * (chosen - rejected - lost))
        loss = loss - self._config.likelihood * said[:, 0] / torch.tensor(pack.learnt[::2], device=said.device)
        return (weights * loss).sum(), _figures(weights, self._config.beta * (chosen - rejected))


@dataclass(frozen=True, eq=False)
class Judged:
    """A conversation that ends with an answer, and whether people liked it; `other` ends with an unrelated one."""

    reply: Sample
    other: Sample
    liked: bool
    weight: float = 1.0

    @property
    def sign(self) -> float:
        return 1.0 if self.liked else -1.0


class Liked:
    """Answers that were liked count as much, together, as those that were not.

    What unrelated ones gain is measured for a whole step before it, so that it does not depend on packing.
    """

    def __init__(self, judged: Sequence[Judged], config: PreferenceConfig) -> None:
        self.sequences: list[Sequences] = [(one.reply,) for one in judged]
        self.memory = {"before": _unknown(len(judged))}
        self._both = [(one.reply, one.other) for one in judged]
        self._beta = config.beta
        self._signs = torch.tensor([one.sign for one in judged])
        weights = torch.tensor([one.weight for one in judged])
        up, down = (weights[self._signs == sign].sum().clamp(min=1e-9) for sign in (1.0, -1.0))
        self._weights = weights * (up + down) / 2 / torch.where(self._signs > 0, up, down)
        self._drift = torch.zeros(())

    def begin(self, numbers: Numbers, base: Likelihoods, now: Likelihoods) -> None:
        before = self.memory["before"]
        _recall(before, numbers, self._both, base)
        self._drift = (now([self._both[number][1] for number in numbers]) - before[numbers, 1]).mean().clamp(min=0)

    def weight(self, pack: Pack) -> float:
        return float(self._weights[pack.samples].sum())

    def loss(self, pack: Pack, losses: Tensor) -> tuple[Tensor, Mapping[str, float]]:
        said = -sequence_sums(pack, losses)
        before, weights, signs = (
            of[pack.samples].to(said.device) for of in (self.memory["before"][:, 0], self._weights, self._signs)
        )
        reward = self._beta * signs * (said - before - self._drift.to(said.device))
        return (weights * (1 - torch.sigmoid(reward))).sum(), _figures(weights, reward)


def _figures(weights: Tensor, margins: Tensor) -> Mapping[str, float]:
    return {
        "margin": float((weights * margins.detach()).sum()),
        "accuracy": float((weights * (margins > 0)).sum()),
    }


def _unknown(samples: int) -> Tensor:
    """Of two sequences each."""
    return torch.full((samples, 2), torch.nan)


def _recall(before: Tensor, numbers: Numbers, sequences: Sequence[Sequences], base: Likelihoods) -> None:
    """Fill in what is not known yet of these samples."""
    new = np.array([number for number in numbers if bool(before[number].isnan().any())], np.intp)
    if len(new):
        before[new] = base([one for number in new for one in sequences[number]]).view(len(new), 2)
