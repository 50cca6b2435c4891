"""The same ops in PyTorch: for graphics cards, and for training, where everything has to be differentiable.

Weights are decoded to floating point when placed, so a model is trained against exactly the numbers that are served.
With a cache it serves like any backend; with `kv=None` a batch is whole sequences, packed, none of which sees another.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from gadfly.batch import Batch, Ints
from gadfly.errors import UnsupportedError
from gadfly.ops import Floats, Ops, gradients
from gadfly.ops.reference import Reference, temperatures
from gadfly.spec import Activation, Attention, ModelSpec, MoE, Rope
from gadfly.weight import Delta, LowRank, Weight

__all__ = ["Answers", "Exchange", "PagedCache", "Torch", "TorchWeight", "routed"]

TorchWeight: TypeAlias = Tensor | LowRank[Tensor]

# What experts say, (rows, dim), of rows that are in the order of experts, and of how many each of these has.
Answers: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Exchange: TypeAlias = Callable[[Tensor, Tensor, Answers], Tensor]  # the same, asked where the experts are


class PagedCache:
    """Keys and values of all layers: (layer, page, slot, kv head · head_dim)."""

    def __init__(self, spec: ModelSpec, pages: int, page_size: int, device: torch.device, dtype: torch.dtype) -> None:
        widths = [block.mixer.kv_heads * block.mixer.head_dim for block in spec.blocks]
        self.keys, self.values = (
            [torch.zeros(pages, page_size, width, device=device, dtype=dtype) for width in widths] for _ in range(2)
        )
        self.page_size = page_size

    def swap(self, layer: int, pages: Ints, positions: Ints, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keep what is new; all keys and all values up to the last position, each (length, width)."""
        page, slot = torch.from_numpy(pages[positions // self.page_size]), torch.from_numpy(positions % self.page_size)
        self.keys[layer][page, slot], self.values[layer][page, slot] = k, v
        length, table = int(positions[-1]) + 1, torch.from_numpy(pages)
        return self.keys[layer][table].flatten(0, 1)[:length], self.values[layer][table].flatten(0, 1)[:length]


class Torch:
    """Backend and ops in one, on `device` and in `dtype`; norms, rope and the router are computed in float32.

    With an `exchange`, stacks of experts that it is handed are those of this process, and others have the others.
    """

    def __init__(
        self, device: str = "cpu", dtype: torch.dtype = torch.float32, exchange: Exchange | None = None
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self.exchange = exchange
        self._decoder = Reference()
        self._angles = Angles(self.device)

    def place(self, weight: Weight) -> Tensor:
        return self._floats(self._decoder.place(weight))

    def adapt(self, weight: TorchWeight, deltas: Sequence[Delta[Floats]]) -> LowRank[Tensor]:
        assert isinstance(weight, Tensor)
        return LowRank(
            weight, tuple(Delta(one.adapter, self._floats(one.down), self._floats(one.up), one.scale) for one in deltas)
        )

    def cache(self, spec: ModelSpec, pages: int, page_size: int) -> PagedCache:
        return PagedCache(spec, pages, page_size, self.device, self.dtype)

    def compile(self, forward: Callable[[Ops[Tensor, TorchWeight, PagedCache], Batch], Tensor]) -> "Counting":
        return Counting(forward, self)

    def embed(self, table: TorchWeight, batch: Batch) -> Tensor:
        assert isinstance(table, Tensor)
        return F.embedding(self._ids(batch.tokens), table)

    def rms_norm(self, x: Tensor, weight: TorchWeight, eps: float) -> Tensor:
        assert isinstance(weight, Tensor)
        return gradients.rms_norm(x.reshape(-1, len(weight)).float(), weight.float(), eps).to(x.dtype).view_as(x)

    def project(self, x: Tensor, weight: TorchWeight, batch: Batch) -> Tensor:
        if isinstance(weight, Tensor):
            return F.linear(x, weight)
        return self._adapted(x, weight, [batch.strengths_of(delta.adapter, len(x)) for delta in weight.deltas])

    def _adapted(self, x: Tensor, weight: LowRank[Tensor], strengths: Sequence[Floats | None]) -> Tensor:
        """With how strong each of its adapters is in each row."""
        used = [(delta, one) for delta, one in zip(weight.deltas, strengths, strict=True) if one is not None]
        if len(used) == 1 and used[0][1].all():  # as in training
            ((delta, one),) = used
            down, up = delta.down.to(x.dtype), delta.up.to(x.dtype)  # learnt in float32, whatever the rest is
            return gradients.low_rank(x, weight.base, down, up, self._factors(delta, one))
        y = F.linear(x, weight.base)
        for delta, one in used:
            rows = np.flatnonzero(one).astype(np.int32)  # those without it stay as they are
            which = self._ids(rows)
            added = F.linear(self._factors(delta, one[rows]) * F.linear(x[which], delta.down), delta.up)
            y = y.index_add(0, which, added)
        return y

    def _factors(self, delta: Delta[Tensor], strengths: Floats) -> Tensor:
        return self._floats(np.float32(delta.scale) * strengths)[:, None]

    def rope(self, x: Tensor, rope: Rope, head_dim: int, batch: Batch) -> Tensor:
        cos, sin = self._angles.of(rope, batch)
        return gradients.turned(x.reshape(len(x), -1, head_dim).float(), cos, sin).to(x.dtype).view_as(x)

    def attention(
        self, q: Tensor, k: Tensor, v: Tensor, spec: Attention, layer: int, kv: PagedCache | None, batch: Batch
    ) -> Tensor:
        lengths, mixed = np.diff(batch.starts).tolist(), []
        parts = zip(*(torch.split(x, lengths) for x in (q, k, v)), strict=True)
        for s, (queries, keys, values) in enumerate(parts):
            positions = batch.positions[batch.starts[s] : batch.starts[s + 1]]
            if kv is not None:
                pages = batch.page_ids[batch.page_starts[s] : batch.page_starts[s + 1]]
                keys, values = kv.swap(layer, pages, positions, keys, values)
            mixed.append(attend(queries, keys, values, positions, spec))
        return torch.cat(mixed)

    def gated(self, gate: Tensor, up: Tensor, activation: Activation) -> Tensor:
        return gradients.gated(gate, up, activation)

    def route(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        """(tokens, 2, selected), float32: indices and weights."""
        return routed(self.router_logits(x, router, spec).softmax(dim=-1), spec)

    def router_logits(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        """(tokens, experts), float32."""
        assert isinstance(router, Tensor)
        logits = F.linear(x.float(), router.float())
        return logits if spec.router_softcap is None else self.softcap(logits, spec.router_softcap)

    def experts(
        self,
        x: Tensor,
        routing: Tensor,
        gate: TorchWeight,
        up: TorchWeight,
        down: TorchWeight,
        spec: MoE,
        batch: Batch,
    ) -> Tensor:
        """Rows are gathered per expert and come back to their tokens in routing order.

        Stacks are taken apart once: a gradient through `gate[e]` would be as large as the stack, for every expert.
        """
        if not (isinstance(gate, Tensor) and isinstance(up, Tensor) and isinstance(down, Tensor)):
            return self._adapted_experts(x, routing, (gate, up, down), spec, batch)
        chosen, weights = routing[:, 0].long().flatten(), routing[:, 1].to(x.dtype)
        order = chosen.argsort(stable=True)
        stacks = gate.unbind(), up.unbind(), down.unbind()

        def answers(rows: Tensor, counts: Tensor) -> Tensor:
            parts = zip(torch.split(rows, counts.tolist()), *stacks, strict=True)
            return torch.cat(
                [F.linear(self.gated(F.linear(p, g), F.linear(p, u), spec.activation), d) for p, g, u, d in parts]
            )

        rows, counts = x[order // spec.selected], chosen.bincount(minlength=spec.experts)
        if self.exchange is None or len(stacks[0]) == spec.experts:
            found = answers(rows, counts)
        else:
            found = self.exchange(rows, counts, answers)
        return torch.sum(weights[..., None] * found[order.argsort()].reshape(len(x), spec.selected, -1), dim=1)

    def _adapted_experts(
        self, x: Tensor, routing: Tensor, weights: tuple[TorchWeight, TorchWeight, TorchWeight], spec: MoE, batch: Batch
    ) -> Tensor:
        """The same with adapters, each as strong as in the token that a row is of."""
        if self.exchange is not None:
            raise UnsupportedError("adapters of experts are learnt by one process; leave out torchrun")
        chosen, order = routing[:, 0].long().flatten(), routing[:, 0].long().flatten().argsort(stable=True)
        counts, tokens = chosen.bincount(minlength=spec.experts).tolist(), order // spec.selected
        stacks = [_unstacked(weight) for weight in weights]
        found, first = [], 0
        for gate, up, down, count in zip(*stacks, counts, strict=True):
            rows = tokens[first : first + count]
            first += count

            def product(inputs: Tensor, weight: TorchWeight, rows: Tensor = rows) -> Tensor:
                if isinstance(weight, Tensor):
                    return F.linear(inputs, weight)
                whole = [batch.strengths_of(delta.adapter, len(x)) for delta in weight.deltas]
                return self._adapted(inputs, weight, [one if one is None else one[rows.cpu().numpy()] for one in whole])

            hidden = self.gated(product(x[rows], gate), product(x[rows], up), spec.activation)
            found.append(product(hidden, down))
        shares = routing[:, 1].to(x.dtype)[..., None]
        return torch.sum(shares * torch.cat(found)[order.argsort()].reshape(len(x), spec.selected, -1), dim=1)

    def shift(self, x: Tensor, bias: TorchWeight) -> Tensor:
        assert isinstance(bias, Tensor)
        return x + bias

    def softcap(self, x: Tensor, cap: float) -> Tensor:
        return cap * torch.tanh(x / cap)

    def scale(self, x: Tensor, factor: float) -> Tensor:
        return x * factor

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y

    def select(self, x: Tensor, batch: Batch) -> Tensor:
        return x if len(batch.rows) == len(x) else x[self._ids(batch.rows)]

    def _floats(self, values: Floats) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, self.dtype)

    def _ids(self, values: Ints) -> Tensor:
        return torch.from_numpy(values).to(self.device)


class Angles:
    """Cosines and sines of a batch's positions, which all layers of a step share: those of the last batch are kept."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._batch: Batch | None = None
        self._known: dict[Rope, tuple[Tensor, Tensor]] = {}

    def of(self, rope: Rope, batch: Batch) -> tuple[Tensor, Tensor]:
        """Float32, (tokens, 1, pairs)."""
        if batch is not self._batch:
            self._batch, self._known = batch, {}
        if rope not in self._known:
            angles = batch.positions[:, None] * np.array(rope.frequencies(), np.float64)
            cos, sin = ((rope.magnitude * f(angles))[:, None].astype(np.float32) for f in (np.cos, np.sin))
            self._known[rope] = torch.from_numpy(cos).to(self._device), torch.from_numpy(sin).to(self._device)
        return self._known[rope]


class Counting(Torch):
    """A forward pass without gradients that counts which experts tokens go to."""

    def __init__(
        self, forward: Callable[[Ops[Tensor, TorchWeight, PagedCache], Batch], Tensor], backend: Torch
    ) -> None:
        super().__init__(str(backend.device), backend.dtype, backend.exchange)
        self._forward = forward
        self._used: list[Tensor] = []  # of each mixture
        self._mixture = 0  # the next one

    def __call__(self, batch: Batch) -> Floats:
        self._mixture = 0
        with torch.inference_mode():
            logits: Floats = self._forward(self, batch).float().cpu().numpy()
        return logits

    def route(self, x: Tensor, router: TorchWeight, spec: MoE) -> Tensor:
        chosen = super().route(x, router, spec)
        if self._mixture == len(self._used):
            self._used.append(torch.zeros(spec.experts, dtype=torch.long, device=self.device))
        self._used[self._mixture] += chosen[:, 0].long().flatten().bincount(minlength=spec.experts)
        self._mixture += 1
        return chosen

    def step_bytes(self, tokens: int, wanted: int) -> int:  # noqa: ARG002
        return 0

    def expert_use(self) -> list[list[int]]:
        return [used.tolist() for used in self._used]


def routed(chances: Tensor, spec: MoE) -> Tensor:
    """What `route` returns, of the chances of all experts (tokens, experts)."""
    best = chances.argsort(dim=-1, descending=True, stable=True)[:, : spec.selected]  # ties: the lower index first
    weights = chances.gather(-1, best)
    if spec.renormalised:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.stack([best.float(), weights], dim=1)


def _unstacked(weight: TorchWeight) -> Sequence[TorchWeight]:
    """The matrices of each expert, with their adapters."""
    if isinstance(weight, Tensor):
        return weight.unbind()
    factors = [(delta, delta.down.unbind(), delta.up.unbind()) for delta in weight.deltas]
    return [
        LowRank(base, tuple(Delta(one.adapter, down[e], up[e], one.scale) for one, down, up in factors))
        for e, base in enumerate(weight.base.unbind())
    ]


def attend(q: Tensor, keys: Tensor, values: Tensor, positions: Ints, spec: Attention) -> Tensor:
    """Queries (tokens, heads · head_dim) at `positions` over keys and values of positions 0, 1, 2 …"""
    q, keys, values = (x.reshape(len(x), -1, spec.head_dim).transpose(0, 1) for x in (q, keys, values))
    grouped = spec.heads != spec.kv_heads
    if spec.softcap is None and spec.temperature is None and spec.window is None and q.shape[1] == keys.shape[1]:
        mixed = F.scaled_dot_product_attention(
            q[None], keys[None], values[None], is_causal=True, scale=spec.scale, enable_gqa=grouped
        )
        return mixed[0].transpose(0, 1).flatten(1)
    if grouped:
        keys, values = (x.repeat_interleave(spec.heads // spec.kv_heads, dim=0) for x in (keys, values))
    scores = (q @ keys.transpose(1, 2)).float() * spec.scale
    if spec.softcap is not None:
        scores = spec.softcap * torch.tanh(scores / spec.softcap)
    if spec.temperature is not None:
        scores = scores * torch.from_numpy(temperatures(positions, spec.temperature)).to(q.device)[:, None]
    seen, own = torch.arange(keys.shape[1], device=q.device), torch.from_numpy(positions).to(q.device)[:, None]
    hidden = seen > own
    if spec.window is not None:
        hidden = hidden | (seen <= own - spec.window)
    chances = scores.masked_fill(hidden, -torch.inf).softmax(dim=-1).to(values.dtype)
    return (chances @ values).transpose(0, 1).flatten(1)
