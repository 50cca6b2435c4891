"""A run: a model of which something is learnt, an objective, an optimiser, and where in the data it is.

The loss of a step is the sum over its samples divided by their weight, however they were packed: many small packs and
one large one give the same gradient. Nothing random is left once a run has begun, so that one which is resumed goes on
bit for bit.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from gadfly.errors import RequestError
from gadfly.model.transformer import finished, hidden_states, through
from gadfly.ops.torch import TorchWeight
from gadfly.train.data.sample import Sample
from gadfly.train.group import Group
from gadfly.train.hold import Hold
from gadfly.train.loss import divergences, token_losses
from gadfly.train.objective import Numbers, Objective, sequence_sums
from gadfly.train.packing import Pack, Sequences, epoch_order, packs
from gadfly.train.plan import Plan
from gadfly.train.report import Judgement, Report
from gadfly.train.trainable import Trainable
from gadfly.weight import Weights

__all__ = ["Ending", "Training"]

Ending = Callable[[Tensor, Tensor], Tensor]  # of what the last layer leaves, after its norm, and the output matrix


class Training:
    """See the module. `step` counts finished steps, of `steps`."""

    def __init__(
        self,
        trainable: Trainable,
        objective: Objective,
        plan: Plan,
        group: Group | None = None,
        hold: Hold | None = None,
    ) -> None:
        if not objective.sequences:
            raise RequestError("there is nothing to learn: no sample is left")
        self.trainable = trainable
        self.group = group
        self.objective = objective
        self.hold = hold
        self.plan = plan
        self.step = 0
        self.steps = plan.steps(len(objective.sequences))
        parameters = trainable.parameters.values()
        groups = [
            {"params": [one for one in parameters if one.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [one for one in parameters if one.ndim == 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=plan.learning_rate, betas=(0.9, 0.99)
        )

    def advance(self) -> Report:
        """One step."""
        began, plan, rate = time.monotonic(), self.plan, self.plan.rate(self.step, self.steps)
        objective, balance = self.objective, self.trainable.balance
        numbers = self.numbers(self.step)
        objective.begin(numbers, self.base_likelihoods, self.likelihoods)
        idle, mine = self._share(objective.sequences, numbers)
        step = list(mine)
        (count,) = self._totals(sum(map(objective.weight, step)))
        count = count or 1.0  # samples may all count nothing
        self._optimiser.zero_grad()
        sums: dict[str, float] = defaultdict(float)
        for one in idle:
            (0 * self._scored(one, objective, sums)).backward()  # type: ignore[no-untyped-call]
        sums.update(dict.fromkeys(sums, 0.0))
        if balance is not None:
            balance.begin()
        for one in step:
            loss = self._scored(one, objective, sums)
            (loss / count).backward()  # type: ignore[no-untyped-call]
        held = {} if self.hold is None else {"hold": self._held(self.hold)}
        norm = float(self._whole(torch.nn.utils.clip_grad_norm_(self.trainable.parameters.values(), plan.clip)))
        judged = self._judgement(sums, count)
        judged = replace(judged, figures={**judged.figures, **held})
        if not math.isfinite(judged.loss) or not math.isfinite(norm):
            raise RequestError(
                f"the loss of step {self.step + 1} is {judged.loss}; choose a smaller learning_rate than "
                f"{plan.learning_rate:g}"
            )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        if balance is not None:
            balance.end(self._total, self._like)
        self.step += 1
        tokens, learnt = self._totals(sum(len(p.batch.tokens) for p in step), sum(len(p.targets) for p in step))
        return Report(self.step, judged, rate, norm, int(tokens), int(learnt), time.monotonic() - began)

    def evaluate(self, objective: Objective, most: int | None = None) -> Judgement:
        """Of an objective whose samples are not learnt from: of all, or of the first ones."""
        numbers = np.arange(len(objective.sequences))[:most]
        objective.begin(numbers, self.base_likelihoods, self.likelihoods)
        sums: dict[str, float] = defaultdict(float)
        count = 0.0
        idle, mine = self._share(objective.sequences, numbers)
        with torch.no_grad():
            for one in idle:
                self._scored(one, objective, sums)
            sums.update(dict.fromkeys(sums, 0.0))
            for one in mine:
                self._scored(one, objective, sums)
                count += objective.weight(one)
        (count,) = self._totals(count)
        return self._judgement(sums, count or 1.0)

    def likelihoods(self, sequences: Sequence[Sample]) -> Tensor:
        """log p of all that is learnt of each: (sequences,), float32."""
        return self._likelihoods(sequences, self.trainable.weights)

    def base_likelihoods(self, sequences: Sequence[Sample]) -> Tensor:
        """As they were before anything was learnt."""
        base = self.trainable.base
        assert base is not None
        return self._likelihoods(sequences, base)

    def state(self) -> dict[str, Tensor]:
        """Everything that changes, by name: see `restore`."""
        tensors = self._memory()
        for name, parameter in self.trainable.parameters.items():
            tensors[name] = parameter.detach()
            for key, value in self._optimiser.state[parameter].items():
                tensors[f"{name}.{key}"] = value
        return tensors

    def names(self, step: int) -> set[str]:
        """Of `state` after so many steps."""
        return set(self.room(step))

    def restore(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on where `state` was taken, after `step` steps."""
        self.step = step
        with torch.no_grad():
            for name, memory in self._memory().items():
                memory.copy_(tensors[name])
            for name, parameter in self.trainable.parameters.items():
                parameter.copy_(tensors[name])
                self._optimiser.state[parameter] = {
                    key: tensors[f"{name}.{key}"].clone()
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"{name}.{key}" in tensors
                }

    def room(self, step: int) -> dict[str, Tensor]:
        """Empty tensors for `restore`, of the shapes that `state` has after so many steps."""
        tensors = {name: torch.empty_like(memory) for name, memory in self._memory().items()}
        for name, parameter in self.trainable.parameters.items():
            kept = ("", ".exp_avg", ".exp_avg_sq") if step else ("",)
            tensors.update({f"{name}{key}": torch.empty_like(parameter, requires_grad=False) for key in kept})
            tensors.update({f"{name}.step": torch.zeros(())} if step else {})
        return tensors

    def any(self, flag: bool) -> bool:
        """Whether it is so for one of the processes that train together: see `gadfly.train.spread`. Here is but one."""
        return flag

    def _share(self, sequences: Sequence[Sequences], numbers: Numbers) -> tuple[list[Pack], Iterable[Pack]]:
        """Of these samples, the packs of this process, and before them some that others only need it to compute."""
        return [], packs(sequences, numbers, self.plan.pack_tokens)

    def _total(self, tensor: Tensor) -> Tensor:
        """Over the processes."""
        return tensor

    def _like(self, whole: Tensor, parameter: Tensor) -> Tensor:  # noqa: ARG002
        """What this process has of a tensor, if it has that of a parameter."""
        return whole

    def _whole(self, tensor: Tensor) -> Tensor:
        """The way back."""
        return tensor

    def _totals(self, *values: float) -> list[float]:
        found: list[float] = self._total(torch.tensor(values, dtype=torch.float64)).tolist()
        return found

    def _judgement(self, sums: Mapping[str, float], count: float) -> Judgement:
        return Judgement.of(dict(zip(sums, self._totals(*sums.values()), strict=True)), count)

    def _memory(self) -> dict[str, Tensor]:
        return {f"objective.{name}": tensor for name, tensor in self.objective.memory.items()}

    def numbers(self, step: int) -> Numbers:
        """Of the samples of a step, counted from 0."""
        count = len(self.objective.sequences)
        epoch, number = divmod(step, math.ceil(count / self.plan.batch))
        order = epoch_order(count, self.plan.seed, epoch)
        return order[number * self.plan.batch : (number + 1) * self.plan.batch]

    def _likelihoods(self, sequences: Sequence[Sample], weights: Weights[TorchWeight]) -> Tensor:
        samples = [(one,) for one in sequences]
        found = torch.zeros(len(samples))
        idle, mine = self._share(samples, np.arange(len(samples)))
        with torch.no_grad():
            for one in idle:
                self._losses(one, weights)
            for one in mine:
                found[one.samples] = -sequence_sums(one, self._losses(one, weights)).cpu()
        return self._total(found)

    def _scored(self, pack: Pack, objective: Objective, sums: dict[str, float]) -> Tensor:
        """What to go back from; figures are added to their sums."""
        loss, figures = objective.loss(pack, self._losses(pack, self.trainable.weights))
        for name, value in {"loss": float(loss.detach()), **figures}.items():
            sums[name] += value
        balance = self.trainable.balance
        return loss if balance is None or not torch.is_grad_enabled() else loss + balance.penalty()

    def _held(self, hold: Hold) -> float:
        """Go back from how far the model went from its base; how far it is, in nats per token."""
        idle, mine = self._share(hold.sequences, hold.numbers(self.step))
        step = list(mine)
        (count,) = self._totals(sum(float(one.weights.sum(dtype=np.float64)) for one in step))
        count = count or 1.0
        for one in idle:
            (0 * self._divergence(one)).backward()  # type: ignore[no-untyped-call]
        total = 0.0
        for one in step:
            divergence = self._divergence(one)
            (hold.weight * divergence / count).backward()  # type: ignore[no-untyped-call]
            total += float(divergence.detach())
        (total,) = self._totals(total)
        return total / count

    def _divergence(self, pack: Pack) -> Tensor:
        """KL(base ‖ model) of the pack's rows, times their weights, together."""
        spec, base = self.trainable.spec, self.trainable.base
        assert base is not None
        with torch.no_grad():
            before = self._read(pack, base, lambda hidden, _: hidden)
        counted = torch.from_numpy(pack.weights).to(before.device)
        return self._read(
            pack,
            self.trainable.weights,
            lambda hidden, output: divergences(hidden, before, output, counted, spec).sum(),
        )

    def _losses(self, pack: Pack, weights: Weights[TorchWeight]) -> Tensor:
        """−log p of the pack's targets, times their weights: (rows,)."""

        def ending(hidden: Tensor, output: Tensor) -> Tensor:
            targets, counted = (torch.from_numpy(values).to(hidden.device) for values in (pack.targets, pack.weights))
            shares = None if pack.shares is None else torch.from_numpy(pack.shares).to(hidden.device)
            return token_losses(hidden, output, targets.long(), counted, self.trainable.spec, shares)

        return self._read(pack, weights, ending)

    def _read(self, pack: Pack, weights: Weights[TorchWeight], ending: Ending) -> Tensor:
        """What an ending makes of the pack."""
        spec, backend = self.trainable.spec, self.trainable.backend
        if (lower := self.trainable.lower) is None:
            hidden = hidden_states(spec, weights, pack.batch, backend, None)
        else:
            layers = range(lower.count, len(spec.blocks))
            x = through(layers, lower.outputs(pack.sequences), spec, weights, pack.batch, backend, None)
            hidden = finished(x, spec, weights, pack.batch, backend)
        output = weights["output"]
        assert isinstance(output, Tensor)
        return ending(hidden, output)
