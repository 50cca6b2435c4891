"""What is told of a run: of each step, and of samples that are not learnt from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

__all__ = ["Judgement", "Report"]


@dataclass(frozen=True)
class Judgement:
    """`loss` is in nats per learnt token, or as the objective defines it; `figures` are what else it tells."""

    loss: float
    figures: Mapping[str, float]

    @classmethod
    def of(cls, sums: Mapping[str, float], count: float) -> Self:
        means = {name: value / count for name, value in sums.items()}
        return cls(means.pop("loss"), means)


@dataclass(frozen=True)
class Report:
    """What a step did. `judged` is from before the step; of the `tokens`, `learnt` were learnt."""

    step: int
    judged: Judgement
    learning_rate: float
    gradient_norm: float
    tokens: int
    learnt: int
    seconds: float
