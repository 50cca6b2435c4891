"""How likely a model holds continuations of a prompt to be.

The prompt is read once, and again only behind what it has in common with the one before, which for most tasks is a
system prompt or examples. Continuations share its pages of the cache and are computed side by side:

    prompt         | page 0 | page 1 | … |      the same for all
    continuation 0                   | last page of the prompt again, and its tokens |
    continuation 1                   | likewise, in pages of its own |
"""

from collections.abc import Sequence
from itertools import accumulate

from gadfly.batch import Batch, Span
from gadfly.engine.likelihood import likelihoods
from gadfly.errors import ContextError
from gadfly.llm import LLM, PAGE_SIZE, STEP_TOKENS

__all__ = ["Scorer"]


class Scorer:
    """Of one model, with a cache of its own."""

    def __init__(self, llm: LLM, strengths: Sequence[float] = ()) -> None:
        """`strengths` are those of the adapters beside it, in their order."""
        self._strengths = strengths
        self._context = llm.context
        self._executor, pages = llm.executor(llm.context + STEP_TOKENS + PAGE_SIZE)
        self._pages = list(pages)
        self._held: list[int] = []  # tokens whose keys and values lie in the first pages, whole pages of them

    def scores(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Natural log p of each, given a prompt of one token at least. Raises ContextError if one is too long.

        An empty continuation is certain: 0.
        """
        longest = len(prompt) + max(map(len, continuations), default=0)
        if not prompt or longest > self._context:
            raise ContextError(f"it takes {longest} tokens, but the context holds {self._context}; see --context")
        shared = (len(prompt) - 1) // PAGE_SIZE * PAGE_SIZE
        self._read(prompt[:shared])
        found = [0.0] * len(continuations)
        waiting = [number for number, continuation in enumerate(continuations) if continuation]
        while waiting:
            sizes = accumulate(len(prompt) - shared + len(continuations[number]) for number in waiting)
            room = min(STEP_TOKENS, (len(self._pages) - shared // PAGE_SIZE - len(waiting)) * PAGE_SIZE)
            count = max(1, sum(size <= room for size in sizes))
            group, waiting = waiting[:count], waiting[count:]
            sums = self._side_by_side(prompt, shared, [continuations[number] for number in group])
            for number, total in zip(group, sums, strict=True):
                found[number] = total
        return found

    def _read(self, tokens: Sequence[int]) -> None:
        """Bring whole pages of a prompt into the cache, but for those at its beginning that are there already."""
        same = next((i for i, (a, b) in enumerate(zip(tokens, self._held, strict=False)) if a != b), None)
        same = min(len(tokens), len(self._held)) if same is None else same
        same -= same % PAGE_SIZE
        self._held = list(tokens)
        for first in range(same, len(tokens), STEP_TOKENS):
            chunk = tokens[first : first + STEP_TOKENS]
            pages = self._pages[: -(-(first + len(chunk)) // PAGE_SIZE)]
            self._executor.step(Batch.of([Span(chunk, first, pages, [], self._strengths)]))

    def _side_by_side(self, prompt: Sequence[int], shared: int, group: Sequence[Sequence[int]]) -> list[float]:
        """Sums of log p; only one that is alone may take more than a step."""
        before, free = self._pages[: shared // PAGE_SIZE], self._pages[shared // PAGE_SIZE :]
        head = list(prompt[shared:])
        if len(group) == 1:
            return [self._alone(before, free, shared, head, group[0])]
        spans: list[Span] = []
        for continuation in group:
            tokens = [*head, *continuation[:-1]]
            count = -(-len(tokens) // PAGE_SIZE)
            own, free = free[:count], free[count:]
            spans.append(Span(tokens, shared, [*before, *own], range(len(head) - 1, len(tokens)), self._strengths))
        logits = self._executor.step(Batch.of(spans))
        flat = likelihoods(logits, [token for continuation in group for token in continuation], 0)
        sums, first = [], 0
        for continuation in group:
            sums.append(sum(one.logprob or 0.0 for one in flat[first : first + len(continuation)]))
            first += len(continuation)
        return sums

    def _alone(
        self, before: list[int], free: list[int], shared: int, head: list[int], continuation: Sequence[int]
    ) -> float:
        tokens, total = [*head, *continuation[:-1]], 0.0
        for first in range(0, len(tokens), STEP_TOKENS):
            chunk = tokens[first : first + STEP_TOKENS]
            pages = [*before, *free[: -(-(first + len(chunk)) // PAGE_SIZE)]]
            wanted = range(max(0, len(head) - 1 - first), len(chunk))
            logits = self._executor.step(Batch.of([Span(chunk, shared + first, pages, wanted, self._strengths)]))
            begin = first + wanted.start - len(head) + 1
            found = likelihoods(logits, list(continuation[begin : begin + len(wanted)]), 0)
            total += sum(one.logprob or 0.0 for one in found)
        return total
