"""What a backend has to be able to do: the protocols between the model and the code that computes.

`Ops` are the steps of a forward pass at the grain of a kernel; `Backend` places weights and caches where its ops can
use them and turns a forward pass into something that runs. `reference` is the executable definition; every other
backend is held to it, op by op, in tests/parity.

Shapes: activations are (tokens, width); heads lie side by side in the width. Layout and precision inside a backend
are its own business: T is its tensor, W a weight it has placed, KV its paged cache.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gadfly.batch import Batch
from gadfly.spec import Activation, Attention, ModelSpec, MoE, Rope
from gadfly.weight import Delta, Weight

__all__ = ["Backend", "Compiled", "Floats", "Ops"]

Floats = NDArray[np.float32]

T = TypeVar("T")
W = TypeVar("W")
KV = TypeVar("KV")
W_contra = TypeVar("W_contra", contravariant=True)
KV_contra = TypeVar("KV_contra", contravariant=True)


class Ops(Protocol[T, W_contra, KV_contra]):
    def embed(self, table: W_contra, batch: Batch) -> T:
        """Rows of the table (vocab, dim) for the batch's tokens: (tokens, dim)."""

    def rms_norm(self, x: T, weight: W_contra, eps: float) -> T:
        """weight · x / sqrt(mean(x²) + eps), per token, or per head where the weight is as wide as one."""

    def project(self, x: T, weight: W_contra, batch: Batch) -> T:
        """x Wᵀ for a weight (out, in): (tokens, out).

        Adapters of the weight add to it, per token: strength · scale · (x downᵀ) upᵀ. Where a strength is 0, the result
        is that of the weight alone, bit for bit.
        """

    def rope(self, x: T, rope: Rope, head_dim: int, batch: Batch) -> T:
        """Rotate every head of x by its token's position."""

    def attention(self, q: T, k: T, v: T, spec: Attention, layer: int, kv: KV_contra, batch: Batch) -> T:
        """Store k and v in the cache, then attend each query to its sequence up to its own position.

        q is (tokens, heads · head_dim), k and v (tokens, kv_heads · head_dim), the result like q.
        """

    def gated(self, gate: T, up: T, activation: Activation) -> T:
        """activation(gate) · up."""

    def route(self, x: T, router: W_contra, spec: MoE) -> T:
        """Which experts each token goes to, best first, and their weights: opaque, for `experts`."""

    def experts(self, x: T, routing: T, gate: W_contra, up: W_contra, down: W_contra, spec: MoE, batch: Batch) -> T:
        """Σ weight · downₑ(activation(gateₑ x) · upₑ x) over a token's experts, summed in routing order.

        Adapters of stacks have factors for each expert, and add to its matrices as they do in `project`.
        """

    def shift(self, x: T, bias: W_contra) -> T:
        """x + bias, the same for every token."""

    def softcap(self, x: T, cap: float) -> T:
        """cap · tanh(x / cap)."""

    def scale(self, x: T, factor: float) -> T: ...

    def add(self, x: T, y: T) -> T: ...

    def select(self, x: T, batch: Batch) -> T:
        """The rows whose logits are wanted: (wanted, width)."""


class Compiled(Protocol):
    """A forward pass that can be run."""

    def __call__(self, batch: Batch) -> Floats: ...

    def step_bytes(self, tokens: int, wanted: int) -> int:
        """Bytes that such a step takes beside weights and cache, where that is known beforehand; else 0."""

    def expert_use(self) -> list[list[int]]:
        """Of every mixture of experts, in the order of layers: tokens that each expert has been given so far."""


class Backend(Protocol[T, W, KV]):
    def place(self, weight: Weight) -> W:
        """Bring a weight into the form its ops compute with. It may copy, repack or keep a view of the data."""

    def adapt(self, weight: W, deltas: Sequence[Delta[Floats]]) -> W:
        """A placed matrix with adapters, for `project` alone; or a stack, for `experts`.

        Raises UnsupportedError where this backend has no adapters of experts.
        """

    def cache(self, spec: ModelSpec, pages: int, page_size: int) -> KV:
        """An empty key/value cache of `pages` pages of `page_size` positions, all layers."""

    def compile(self, forward: Callable[[Ops[T, W, KV], Batch], T]) -> Compiled:
        """Make `forward` runnable. It may be called once and recorded, so it must not look into the batch."""
