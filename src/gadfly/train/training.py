"""A run of supervised fine-tuning: samples, an adapter, an optimiser, and where in the data it is.

The loss of a step is the sum over its learnt tokens divided by their number, however they were packed: many small packs
and one large one give the same gradient. Nothing random is left once a run has begun, so that one which is resumed goes
on bit for bit.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gadfly.errors import RequestError
from gadfly.model.transformer import hidden_states
from gadfly.ops.torch import Torch, TorchWeight
from gadfly.spec import ModelSpec
from gadfly.train.lora import Factors, LoraConfig, adapted, fresh_factors
from gadfly.train.loss import summed_loss
from gadfly.train.packing import Pack, epoch_order, packs
from gadfly.train.sample import Sample
from gadfly.weight import Weights

__all__ = ["Plan", "Report", "Training"]


@dataclass(frozen=True)
class Plan:
    """How long and how fast. `batch` samples make a step, which is computed in packs of up to `pack_tokens` tokens.

    The learning rate rises for `warm_up` of all steps, then falls to zero as a cosine does (arXiv 1608.03983).
    """

    epochs: float = 3.0
    batch: int = 16
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 0.0
    clip: float = 1.0  # norm of the gradient
    pack_tokens: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
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


@dataclass(frozen=True)
class Report:
    """What a step did. `loss` is in nats per learnt token, before the step; of the `tokens`, `learnt` were learnt."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    learnt: int
    seconds: float


class Training:
    """See the module. `step` counts finished steps, of `steps`; `factors` are what is learnt, from `samples`."""

    def __init__(
        self,
        spec: ModelSpec,
        weights: Weights[Tensor],
        samples: Sequence[Sample],
        lora: LoraConfig,
        plan: Plan,
        backend: Torch | None = None,
    ) -> None:
        if not samples:
            raise RequestError("there is nothing to learn: no sample is left")
        self.spec = spec
        self.lora = lora
        self.plan = plan
        self.step = 0
        self.steps = plan.steps(len(samples))
        self.factors: Mapping[str, Factors] = fresh_factors(spec, lora, plan.seed)
        self.samples = samples
        self._backend = backend or Torch()
        self._output = weights["output"]
        self._weights: Weights[TorchWeight] = adapted(weights, self.factors, lora.scale)
        self._optimiser = torch.optim.AdamW(
            self.parameters, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay
        )

    @property
    def parameters(self) -> list[Tensor]:
        return [tensor for one in self.factors.values() for tensor in (one.down, one.up)]

    def advance(self) -> Report:
        """One step."""
        began, plan, rate = time.monotonic(), self.plan, self.plan.rate(self.step, self.steps)
        step = list(packs(self.samples, self._batch(), plan.pack_tokens))
        count = sum(one.weight for one in step)
        self._optimiser.zero_grad()
        total = 0.0
        for one in step:
            loss = self._loss(one)
            (loss / count).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, plan.clip))
        if not math.isfinite(total) or not math.isfinite(norm):
            raise RequestError(
                f"the loss of step {self.step + 1} is {total / count}; choose a smaller learning_rate than "
                f"{plan.learning_rate:g}"
            )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        self.step += 1
        tokens, learnt = (
            sum(len(part) for part in parts) for parts in ([p.batch.tokens for p in step], [p.targets for p in step])
        )
        return Report(self.step, total / count, rate, norm, tokens, learnt, time.monotonic() - began)

    def evaluate(self, samples: Sequence[Sample]) -> float:
        """Nats per learnt token of samples that are not learnt from."""
        total = count = 0.0
        with torch.no_grad():
            for one in packs(samples, np.arange(len(samples)), self.plan.pack_tokens):
                total += float(self._loss(one))
                count += one.weight
        return total / count

    def state(self) -> dict[str, Tensor]:
        """Everything that changes, by name: see `restore`."""
        tensors: dict[str, Tensor] = {}
        for path, one in self.factors.items():
            for name, parameter in (("down", one.down), ("up", one.up)):
                tensors[f"{path}.{name}"] = parameter.detach()
                for key, value in self._optimiser.state[parameter].items():
                    tensors[f"{path}.{name}.{key}"] = value
        return tensors

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken, after `step` steps."""
        self.step = step
        with torch.no_grad():
            for path, one in self.factors.items():
                for name, parameter in (("down", one.down), ("up", one.up)):
                    prefix = f"{path}.{name}"
                    parameter.copy_(tensors[prefix])
                    self._optimiser.state[parameter] = {
                        key.removeprefix(f"{prefix}."): value.clone()
                        for key, value in tensors.items()
                        if key.startswith(f"{prefix}.")
                    }

    def _batch(self) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        per_epoch = math.ceil(len(self.samples) / self.plan.batch)
        epoch, number = divmod(self.step, per_epoch)
        order = epoch_order(len(self.samples), self.plan.seed, epoch)
        return order[number * self.plan.batch : (number + 1) * self.plan.batch]

    def _loss(self, pack: Pack) -> Tensor:
        hidden = hidden_states(self.spec, self._weights, pack.batch, self._backend, None)
        targets, weights = (torch.from_numpy(values).to(hidden.device) for values in (pack.targets, pack.weights))
        return summed_loss(hidden, self._output, targets.long(), weights, self.spec)
