"""A model without text: its weights where they live, a cache, and the forward pass from ids to logits.

What it takes of memory is settled here, once, when it is made. Requests are `gadfly.engine`'s, text is `gadfly.llm`'s.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gadfly.batch import Batch, Span
from gadfly.completion import Reads
from gadfly.engine import Counts, Executor
from gadfly.errors import CapacityError
from gadfly.hub.memory import memory_available, memory_used
from gadfly.model.cost import Cost, matrices
from gadfly.ops import Backend, Floats
from gadfly.promise import WANTED, WORK, WORK_SHARE, Promise
from gadfly.spec import Dense, ModelSpec, MoE, Parallel
from gadfly.weight import Weight, Weights
from gadfly.weights.adapted import adapted
from gadfly.weights.low_rank import Adapter
from gadfly.weights.model_file import ModelFile
from gadfly.weights.placement import ROOM, Placement
from gadfly.weights.streamed import Streamed

__all__ = ["PAGE_SIZE", "STEP_TOKENS", "BareModel", "page_bytes"]

PAGE_SIZE = 16
STEP_TOKENS = 256  # each takes some tens of kilobytes of activations


class BareModel:
    """`spec` has the context that is wanted; the cache holds up to `contexts` of them, in `pages` pages.

    A step is to compute up to `step_tokens` tokens. Raises CapacityError if there is no memory for it.
    """

    def __init__(
        self,
        file: ModelFile,
        spec: ModelSpec,
        backend: Backend[Any, Any, Any],
        placement: Placement,
        contexts: int,
        promise: Promise | None,
        adapters: Sequence[Adapter],
    ) -> None:
        self.spec = spec
        self.placement = placement
        self.bytes_per_token = sum(file.weights[one.path].size * one.selected // one.experts for one in matrices(spec))
        self.step_tokens = STEP_TOKENS
        self._backend = backend
        self._streamed = placement if isinstance(placement, Streamed) else None
        room = memory_available() // 8
        if promise is not None:
            room = promise.left // 8 if self._streamed else promise.cache
        self.pages = cache_pages(spec, spec.context, contexts, room)
        try:
            self._weights = adapted(spec, place(file, placement), adapters, backend)
            self.serving = Executor(spec, self._weights, backend, self.pages, PAGE_SIZE)
            if self._streamed:
                self.step_tokens = self._settle(self._streamed, promise)
        except MemoryError:
            raise CapacityError(
                f"{file.path}: not enough memory for this model with a context of {spec.context}; try a smaller "
                "context or model"
            ) from None

    def _settle(self, streamed: Streamed, promise: Promise | None) -> int:
        """Give experts or layers on disk what memory is left; the tokens that a step may have then."""
        used = memory_used()
        memory = promise.size if promise else used + round(ROOM * memory_available())
        drawn = 2 * 4 * self.spec.vocab * WANTED  # logits of a step, and what becomes of them
        used += self.serving.cache_bytes + drawn + min(WORK, memory // WORK_SHARE)
        return streamed.settle(memory, used, lambda tokens: self.serving.step_bytes(tokens, min(tokens, WANTED)))

    @property
    def kernels(self) -> str:
        """What computes: the instruction set of the native backend, or the name of another one."""
        return str(getattr(self._backend, "kernels", "reference"))

    def executor(self, positions: int) -> tuple[Executor, range]:
        """The forward pass with a cache of its own, and the pages that hold `positions` positions of one sequence."""
        pages = range(-(-positions // PAGE_SIZE))
        return Executor(self.spec, self._weights, self._backend, len(pages), PAGE_SIZE), pages

    def logits(self, ids: Sequence[int], strengths: Sequence[float]) -> Floats:
        """Float32 (tokens, vocab), in a cache of its own. `strengths` are those of the adapters, in their order."""
        executor, pages = self.executor(len(ids))
        chunks = [ids[first : first + STEP_TOKENS] for first in range(0, len(ids), STEP_TOKENS)]
        spans = [Span(chunk, STEP_TOKENS * i, pages, range(len(chunk)), strengths) for i, chunk in enumerate(chunks)]
        return np.concatenate([executor.step(Batch.of([span])) for span in spans])

    def reads(self, counts: Counts) -> Reads | None:
        """What experts or layers on disk have cost in all answers so far, `counts`; None if all are in memory."""
        if self._streamed is None:
            return None
        tokens = counts.prompt_tokens + counts.generated_tokens
        return replace(self._streamed.reads, tokens=tokens, seconds=counts.step_seconds)

    def expert_use(self) -> list[list[int]] | None:
        """Tokens that each expert of each layer has been given in all answers so far; None for a dense model.

        A layer without experts has an empty list.
        """
        used = iter(self.serving.expert_use())
        layers: list[list[int]] = []
        for block in self.spec.blocks:
            match block.ffn:
                case Dense():
                    layers.append([])
                case MoE(experts=count) | Parallel(moe=MoE(experts=count)):
                    layers.append(next(used, [0] * count))
        return layers if any(layers) else None


def cache_pages(spec: ModelSpec, context: int, contexts: int, room: int) -> int:
    """Pages for as many contexts as fit into `room` bytes: one at least, `contexts` at most."""
    one = -(-context // PAGE_SIZE)
    return max(one, min(contexts * one, room // page_bytes(spec)))


def page_bytes(spec: ModelSpec) -> int:
    """Of the cache, at most: half floats."""
    return 2 * Cost.of(spec, tied=False).kv_values_per_token * PAGE_SIZE


def place(file: ModelFile, placement: Placement) -> Weights[Any]:
    """Every weight where it will live, and pages read from the file given back to the system."""

    def one(weight: Weight) -> Any:
        placed = placement.place(weight)
        file.release()
        return placed

    return file.weights.map(one)
