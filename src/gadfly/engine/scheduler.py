"""Which tokens the next step computes: continuous batching under one budget of tokens per step.

Sequences run in the order they came. The oldest first, each takes what it has pending as long as the budget lasts: one
token while it decodes, a chunk of its prompt before. Whoever waits is admitted while budget is left; a prompt cut off
by the budget has taken the last of it, so only the youngest running sequence can be in the middle of its prompt, the
others all decode, and every one of them advances in every step.

Pages for all tokens known so far are taken at admission, and one more whenever an answer fills its last page. If there
is none, the youngest gives up its pages and waits again in front of the others; what it had filled stays in the prefix
index while there is room. The oldest is never set back, so everything comes to its end.

What is left of the budget may verify drafts: tokens that a sequence is likely to get next, computed in the same step. A
draft never costs anybody else a page, and pages that it alone needed are given back after the step.
"""

from collections import deque
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, replace

from gadfly.batch import Span
from gadfly.engine.draft import worthwhile
from gadfly.engine.pace import Pace
from gadfly.engine.prefix import ROOT, PrefixIndex
from gadfly.engine.request import Sequence

__all__ = ["Chunk", "Scheduler"]

READ_TOKENS = 32  # of a prompt whose likelihoods are wanted, at a time: each takes logits as wide as the vocabulary


@dataclass(frozen=True)
class Chunk:
    """The next `count` pending tokens of a sequence, as part of a step, and a `draft` of those that may follow."""

    sequence: Sequence
    count: int
    draft: Tokens[int] = ()

    @property
    def decodes(self) -> bool:
        """It writes an answer that has begun."""
        return self.sequence.generated > 0 and self.count == 1 == self.sequence.pending

    def span(self, page_size: int) -> Span:
        sequence, end = self.sequence, self.sequence.computed + self.count
        return Span(
            tokens=[*sequence.tokens[sequence.computed : end], *self.draft],
            start=sequence.computed,
            pages=sequence.pages[: -(-(end + len(self.draft)) // page_size)],
            wanted=[*sequence.wanted(self.count), *range(self.count, self.count + len(self.draft))],
        )


class Scheduler:
    """Any one sequence has to fit into the pool of pages by itself; the engine sees to that."""

    def __init__(self, prefix: PrefixIndex, step_tokens: int, pace: Pace, speculate: bool) -> None:
        self.running: list[Sequence] = []  # both in order of arrival, all that run before all that wait
        self.waiting: deque[Sequence] = deque()
        self.cached_tokens = 0  # of prompts, found at admission, so far
        self.preemptions = 0
        self._prefix = prefix
        self._step_tokens = step_tokens
        self._pace = pace
        self._speculate = speculate

    @property
    def idle(self) -> bool:
        return not self.running and not self.waiting

    def sequences(self) -> list[Sequence]:
        """All that run or wait."""
        return [*self.running, *self.waiting]

    def position(self, sequence: Sequence) -> int:
        """Its place among those who wait, from 1; 0 if it does not."""
        return self.waiting.index(sequence) + 1 if sequence in self.waiting else 0

    def add(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and give up its pages."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._give_up(sequence)
        else:
            self.waiting.remove(sequence)

    def schedule(self) -> list[Chunk]:
        """The next step's work, oldest first, with its pages; empty only if there is nothing to do."""
        chunks: list[Chunk] = []
        budget = self._step_tokens
        while budget:
            if len(chunks) < len(self.running):
                sequence = self.running[len(chunks)]
                if not self._provide(sequence):
                    break
            elif admitted := self._admit():
                sequence = admitted
            else:
                break
            most = min(budget, READ_TOKENS) if sequence.unread else budget
            chunks.append(Chunk(sequence, min(most, sequence.pending)))
            budget -= chunks[-1].count
        if self._speculate:
            self._draft(chunks, budget)
        return chunks

    def advance(self, sequence: Sequence, count: int) -> None:
        """So many of its tokens have been computed: make known the pages that they filled."""
        size = self._prefix.page_size
        full = sequence.computed // size
        sequence.computed += count
        for index in range(full, sequence.computed // size):
            parent = sequence.pages[index - 1] if index else ROOT
            tokens = sequence.tokens[index * size : (index + 1) * size]
            sequence.pages[index] = self._prefix.insert(parent, tokens, sequence.pages[index])

    def trim(self, sequence: Sequence) -> None:
        """Give back the pages that only a draft needed."""
        needed = -(-len(sequence.tokens) // self._prefix.page_size)
        self._prefix.release(sequence.pages[needed:])
        del sequence.pages[needed:]

    def _draft(self, chunks: list[Chunk], budget: int) -> None:
        """Add the drafts that are worth their cost, as far as the budget and free pages go."""
        tokens = sum(chunk.count for chunk in chunks if chunk.decodes)
        outputs = float(tokens)
        for index, chunk in enumerate(chunks):
            if not chunk.decodes:
                continue
            sequence, drafter, size = chunk.sequence, chunk.sequence.drafter, self._prefix.page_size
            guess = drafter.guess(sequence.tokens)
            spare = max(0, self._prefix.available - len(self.running))  # everyone else may need his next page
            room = (len(sequence.pages) + spare) * size - len(sequence.tokens)
            most = min(len(guess), budget, room, sequence.longest - len(sequence.tokens) - 1)
            count, outputs = worthwhile(drafter.chance, most, outputs, tokens, self._pace.cost)
            while len(sequence.pages) * size < len(sequence.tokens) + count:
                page = self._prefix.take()
                assert page is not None, "pages were counted before"
                sequence.pages.append(page)
            chunks[index] = replace(chunk, draft=guess[:count])
            tokens, budget = tokens + count, budget - count

    def _provide(self, sequence: Sequence) -> bool:
        """Take the pages that a running sequence lacks, from the youngest if need be; False if it is itself that."""
        while len(sequence.pages) * self._prefix.page_size < len(sequence.tokens):
            page = self._prefix.take()
            if page is not None:
                sequence.pages.append(page)
                continue
            youngest = self.running.pop()
            self._give_up(youngest)
            self.preemptions += 1
            self.waiting.appendleft(youngest)
            if youngest is sequence:
                return False
        return True

    def _admit(self) -> Sequence | None:
        """Let the next in line run if there are pages for it and for the next page of everyone who runs already."""
        if not self.waiting:
            return None
        sequence = self.waiting[0]
        sequence.pages = [] if sequence.unread else self._prefix.lookup(sequence.tokens)
        sequence.computed = len(sequence.pages) * self._prefix.page_size
        missing = -(-len(sequence.tokens) // self._prefix.page_size) - len(sequence.pages)
        if missing + len(self.running) > self._prefix.available:
            self._give_up(sequence)
            return None
        if sequence.cached_tokens is None:
            sequence.cached_tokens = sequence.computed
            self.cached_tokens += sequence.computed
        self.running.append(self.waiting.popleft())
        self._provide(sequence)
        return sequence

    def _give_up(self, sequence: Sequence) -> None:
        self._prefix.release(sequence.pages)
        sequence.pages, sequence.computed = [], 0

    def check(self) -> None:
        """Assert what has to hold between steps."""
        size = self._prefix.page_size
        self._prefix.check([sequence.pages for sequence in self.running])
        for sequence in self.running:
            assert 0 <= sequence.computed < len(sequence.tokens), "a running sequence has nothing to do"
            assert sequence.computed <= len(sequence.pages) * size < len(sequence.tokens) + size
        assert not any(sequence.pages or sequence.computed for sequence in self.waiting), "a page is held for nothing"
        assert not any(sequence.finished for sequence in (*self.running, *self.waiting))
