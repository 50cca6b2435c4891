"""A model ready to run: the one forward pass, its placed weights and a paged cache, as a function of a batch.

It does not know who asks for the tokens in a batch (`gadfly.engine.scheduler`) nor where the weights came from
(`gadfly.weights`); the caller has placed them with the same backend.
"""

from functools import cached_property
from typing import TypeVar

from gadfly.batch import Batch
from gadfly.model.transformer import forward, hidden_states
from gadfly.ops import Backend, Compiled, Floats
from gadfly.spec import ModelSpec
from gadfly.weight import Weights

__all__ = ["Executor"]

T = TypeVar("T")
W = TypeVar("W")
KV = TypeVar("KV")


class Executor:
    """Owns a cache of `pages` pages of `page_size` positions, which a batch's page ids refer to."""

    def __init__(
        self,
        spec: ModelSpec,
        weights: Weights[W],
        backend: Backend[T, W, KV],
        pages: int,
        page_size: int,
    ) -> None:
        kv = backend.cache(spec, pages, page_size)
        self.cache_bytes = int(getattr(kv, "bytes", 0))  # of memory, once all of it is used; 0: not known beforehand
        self._forward = backend.compile(lambda ops, batch: forward(spec, weights, batch, ops, kv))

        def headless() -> Compiled:
            return backend.compile(lambda ops, batch: hidden_states(spec, weights, batch, ops, kv))

        self._compile_headless = headless

    @cached_property
    def _headless(self) -> Compiled:
        return self._compile_headless()  # when somebody wants vectors, which most who start a model never do

    def step(self, batch: Batch) -> Floats:
        """Compute a batch, keep its keys and values: logits, float32 (wanted rows, vocab)."""
        return self._forward(batch)

    def states(self, batch: Batch) -> Floats:
        """The same without the head: what the last layer leaves, float32 (wanted rows, dim)."""
        return self._headless(batch)

    def step_bytes(self, tokens: int, wanted: int) -> int:
        """Bytes that a step takes beside weights and cache, where that is known beforehand; else 0."""
        return self._forward.step_bytes(tokens, wanted)

    def expert_use(self) -> list[list[int]]:
        """Of every mixture of experts, in the order of layers: tokens that each expert has been given so far."""
        return self._forward.expert_use()
