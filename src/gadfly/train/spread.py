"""A run of several processes, each of which holds a part of all that is large: weights, gradients and the optimiser.

    layers                  FSDP (torch.distributed.fsdp): rows of every matrix here and there; a layer is put together
                            when it is needed and taken apart after it
    experts of a mixture    stay apart: tokens travel to the process that has their expert, and answers back
    samples of a step       a stretch for each process, about equally many tokens. Which samples a step has depends on
                            neither how many processes there are nor which one asks

Losses are divided by the weight of the whole step and gradients are added up, so that many processes learn what one
does, but for the order of sums. What is communicated comes in the same order everywhere: a process that has fewer packs
than another computes one more that counts nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from gadfly.model.transformer import embedded, finished, through
from gadfly.ops.torch import Answers, Torch, TorchWeight
from gadfly.train.group import Group
from gadfly.train.hold import Hold
from gadfly.train.objective import Numbers, Objective
from gadfly.train.packing import Pack, Sequences, pack, pack_numbers, packs
from gadfly.train.plan import Plan
from gadfly.train.trainable import Trainable
from gadfly.train.training import Ending, Training
from gadfly.weight import LowRank, Stack, Weight, Weights, is_stack, unstack

__all__ = ["SpreadTraining", "backend_for", "outline"]


def backend_for(group: Group) -> Torch:
    return Torch(str(group.device), exchange=_Exchange(group))


def outline(weights: Weights[Weight]) -> Weights[Tensor]:
    """Shapes without numbers."""
    return weights.map(lambda weight: torch.empty(weight.shape, device="meta"))


class SpreadTraining(Training):
    """Like any, of a trainable whose weights are the `outline` of a file's, which are read here, a layer at a time."""

    def __init__(
        self,
        trainable: Trainable,
        objective: Objective,
        plan: Plan,
        file: Weights[Weight],
        group: Group,
        hold: Hold | None = None,
    ) -> None:
        spread = _Spread(trainable, file, group)
        self._layers, self._root = spread.layers, spread.root
        if trainable.balance is not None:
            trainable.balance.routers[:] = map(spread.part, trainable.balance.routers)
        parameters = {name: spread.part(one) for name, one in trainable.parameters.items()}
        weights, base = (tree and Weights(_Live(tree, spread.now)) for tree in (trainable.weights, trainable.base))
        assert weights is not None
        super().__init__(
            replace(trainable, weights=weights, parameters=parameters, base=base, lower=None),
            objective,
            plan,
            group,
            hold,
        )
        self._group = group

    def any(self, flag: bool) -> bool:
        return bool(self._total(torch.tensor(int(flag))))

    def _share(self, sequences: Sequence[Sequences], numbers: Numbers) -> tuple[list[Pack], Iterable[Pack]]:
        rank, size, tokens = self._group.rank, self._group.size, self.plan.pack_tokens
        lengths = np.array([sum(map(len, sequences[number])) for number in numbers])
        owners = (2 * np.cumsum(lengths) - lengths) * size // (2 * lengths.sum())  # by where the middle of a sample is
        parts = [numbers[owners == one] for one in range(size)]
        counts = [sum(1 for _ in pack_numbers(sequences, part, tokens)) for part in parts]
        idle = [pack(sequences, [int(numbers[0])])] * (max(counts) - counts[rank])
        return idle, packs(sequences, parts[rank], tokens)

    def _total(self, tensor: Tensor) -> Tensor:
        there = tensor.to(self._group.device, copy=True)
        dist.all_reduce(there)
        return there.to(tensor.device)

    def _like(self, whole: Tensor, parameter: Tensor) -> Tensor:
        assert isinstance(parameter, DTensor)
        return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)

    def _whole(self, tensor: Tensor) -> Tensor:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def _read(self, pack: Pack, weights: Weights[TorchWeight], ending: Ending) -> Tensor:
        spec, backend = self.trainable.spec, self.trainable.backend

        def run() -> Tensor:
            x = embedded(spec, weights, pack.batch, backend)
            for number, layer in enumerate(self._layers):
                x = layer(through, range(number, number + 1), x, spec, weights, pack.batch, backend, None)
            output = weights["output"]
            assert isinstance(output, Tensor)
            return ending(finished(x, spec, weights, pack.batch, backend), output)

        found: Tensor = self._root(run)
        return found


class _Held(nn.Module):
    """Tensors that are put together and taken apart as one; whatever needs them runs inside."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor.detach(), tensor.requires_grad))

    def forward(self, run: Callable[..., Tensor], *args: Any) -> Tensor:
        return run(*args)


class _Spread:
    """Where every tensor of a trainable is now."""

    def __init__(self, trainable: Trainable, file: Weights[Weight], group: Group) -> None:
        self._group, self._mesh = group, init_device_mesh(group.device.type, (group.size,))
        self._held: dict[int, tuple[_Held, str]] = {}  # by the tensor of the trainable
        self._apart: dict[int, Tensor] = {}
        self._dtype = torch.float32 if group.device.type == "cpu" else torch.bfloat16
        weights = trainable.weights
        paths: dict[str, list[str]] = {}
        for path in weights:
            paths.setdefault(".".join(path.split(".")[:2]) if path.startswith("blocks.") else "", []).append(path)

        def held(part: str) -> _Held:
            tensors: dict[int, Tensor] = {}
            for path in paths[part]:
                for tensor in _parts(weights[path]):
                    if id(tensor) in tensors:  # tied
                        continue
                    weight = file[path] if tensor.is_meta else None
                    if weight is not None and is_stack(weight) and not weight.shape[0] % group.size:
                        self._apart[id(tensor)] = self._own(weight, tensor.requires_grad, trainable.backend)
                    else:
                        there = tensor if weight is None else trainable.backend.place(weight)
                        tensors[id(tensor)] = there.detach().requires_grad_(tensor.requires_grad)
            made = _Held({str(number): tensor for number, tensor in enumerate(tensors.values())})
            self._held.update({key: (made, str(number)) for number, key in enumerate(tensors)})
            return made

        self.layers = [self._shard(held(f"blocks.{number}")) for number in range(len(trainable.spec.blocks))]
        self.root = held("")
        self.root.layers = nn.ModuleList(self.layers)
        self._shard(self.root)

    def part(self, tensor: Tensor) -> Tensor:
        """What this process has of it, to learn and to save."""
        return self._apart[id(tensor)] if id(tensor) in self._apart else self._now(tensor)

    def now(self, weight: TorchWeight) -> TorchWeight:
        """What is computed with."""
        if isinstance(weight, LowRank):
            deltas = (replace(one, down=self._now(one.down), up=self._now(one.up)) for one in weight.deltas)
            return LowRank(self._now(weight.base), tuple(deltas))
        return self._now(weight)

    def _now(self, tensor: Tensor) -> Tensor:
        if id(tensor) in self._apart:
            apart = self._apart[id(tensor)]
            assert isinstance(apart, DTensor)
            local: Tensor = apart.to_local()
            return local.to(self._dtype)
        held, name = self._held[id(tensor)]
        return held.get_parameter(name)

    def _own(self, stack: Weight, learnt: bool, backend: Torch) -> Tensor:
        count = stack.shape[0] // self._group.size
        mine = Stack(unstack(stack)[self._group.rank * count :][:count])
        return DTensor.from_local(backend.place(mine), self._mesh, [Shard(0)]).detach().requires_grad_(learnt)

    def _shard(self, held: _Held) -> _Held:
        policy = MixedPrecisionPolicy(self._dtype, torch.float32)
        sharded = fully_shard(held, mesh=self._mesh, mp_policy=policy)
        assert isinstance(sharded, FSDPModule)
        sharded.set_gradient_divide_factor(1.0)
        sharded.set_force_sum_reduction_for_comms(True)  # gloo knows no other
        return held


def _parts(weight: TorchWeight) -> Iterator[Tensor]:
    if isinstance(weight, LowRank):
        yield weight.base
        for delta in weight.deltas:
            yield from (delta.down, delta.up)
    else:
        yield weight


class _Live(Mapping[str, TorchWeight]):
    """A tree whose leaves are looked up when they are used: layers are put together and taken apart meanwhile."""

    def __init__(self, tree: Weights[TorchWeight], now: Callable[[TorchWeight], TorchWeight]) -> None:
        self._tree, self._now = tree, now

    def __getitem__(self, path: str) -> TorchWeight:
        return self._now(self._tree[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree)

    def __len__(self) -> int:
        return sum(1 for _ in self._tree)


class _Exchange:
    """Rows go to the processes that have their experts, in the order of experts, and answers come back."""

    def __init__(self, group: Group) -> None:
        self._size = group.size

    def __call__(self, rows: Tensor, counts: Tensor, answers: Answers) -> Tensor:
        counts = counts.view(self._size, -1)
        theirs = torch.empty_like(counts)  # of each process, rows for each expert here
        dist.all_to_all_single(theirs, counts)
        sent, got = counts.sum(1).tolist(), theirs.sum(1).tolist()
        experts = torch.arange(theirs.shape[1], device=rows.device).repeat(self._size)
        order = experts.repeat_interleave(theirs.flatten()).argsort(stable=True)
        arrived = _travelled(rows, sent, got)[order]
        return _travelled(answers(arrived, theirs.sum(0))[order.argsort()], got, sent)


def _travelled(rows: Tensor, sent: list[int], got: list[int]) -> Tensor:
    apply: Callable[..., Tensor] = _Travelled.apply
    return apply(rows, sent, got)


class _Travelled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, sent: list[int], got: list[int]) -> Tensor:
        ctx.sent, ctx.got = sent, got
        arrived = rows.new_empty(sum(got), *rows.shape[1:])
        dist.all_to_all_single(arrived, rows.contiguous(), got, sent)
        return arrived

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = upstream
        return _Travelled.apply(slope, ctx.got, ctx.sent), None, None  # type: ignore[no-untyped-call]
