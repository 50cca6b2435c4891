"""Which tokens the next step computes: continuous batching, for everybody who writes and a few who read.

Answers first: every sequence that writes one gets its next token in every step. Then prompts, in chunks, as long as the
budget lasts: `step_tokens` if nobody writes, otherwise what fits into the time that answers leave them, so that these
keep flowing (`gadfly.engine.pace`). Prompts take turns by client, and within one in the order they came
(`gadfly.engine.queue`); who waits is admitted when its turn comes. A prompt does not compute what another one is
computing in this very step: it lets that one go ahead, and takes over its pages.

Pages for all tokens known so far are taken at admission, and one more whenever an answer fills its last page. If there
is none, the youngest gives up its pages and waits again in front of the others; what it had filled stays in the prefix
index while there is room. The oldest is never set back, so everything comes to its end.

What is left of the budget may verify drafts: tokens that a sequence is likely to get next, computed in the same step. A
draft never costs anybody else a page, and pages that it alone needed are given back after the step.
"""

from dataclasses import replace

from gadfly.engine.chunk import Chunk
from gadfly.engine.draft import worthwhile
from gadfly.engine.pace import Pace
from gadfly.engine.prefix import Key, PrefixIndex
from gadfly.engine.queue import FairQueue
from gadfly.engine.request import Sequence

__all__ = ["Scheduler"]

READ_TOKENS = 32  # of a prompt whose likelihoods are wanted, at a time: each takes logits as wide as the vocabulary


class Scheduler:
    """Any one sequence has to fit into the pool of pages by itself; the engine sees to that."""

    def __init__(self, prefix: PrefixIndex, step_tokens: int, pace: Pace, speculate: bool) -> None:
        self.running: list[Sequence] = []  # in the order of admission
        self.waiting = FairQueue()
        self.cached_tokens = 0  # of prompts, that did not have to be computed, so far
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
        return next((place for place, other in enumerate(self.waiting, 1) if other is sequence), 0)

    def add(self, sequence: Sequence) -> None:
        self.waiting.add(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and give up its pages."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._give_up(sequence)
        else:
            self.waiting.take(sequence)
        self.waiting.leave(sequence)

    def schedule(self) -> list[Chunk]:
        """The next step's work with its pages, answers first; empty only if there is nothing to do."""
        chunks = [
            self._chunk(sequence, 1)
            for sequence in list(self.running)  # some of which may be set back for the sake of older ones
            if sequence.decodes and sequence in self.running and self._provide(sequence)
        ]
        writing, promised = bool(chunks), 0.0
        budget = self._step_tokens - len(chunks)
        seen: set[Sequence] = set()
        computing: set[Key] = set()  # pages that this step works on
        while budget and (reader := self._next_reader(seen)):
            seen.add(reader)
            page = self._page_ahead(reader)
            if page in computing:
                continue
            most = min(budget, self._pace.fitting(reader.computed, promised)) if writing else budget
            if not most:
                break
            if page:
                computing.add(page)
            chunks.append(self._chunk(reader, min(most, self._step_limit(reader), reader.pending)))
            promised += chunks[-1].count * self._pace.price(reader.computed)
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
            sequence.pages[index] = self._prefix.insert(*self._key(sequence, index), sequence.pages[index])

    def trim(self, sequence: Sequence) -> None:
        """Give back the pages that only a draft needed."""
        needed = -(-len(sequence.tokens) // self._prefix.page_size)
        self._prefix.release(sequence.pages[needed:])
        del sequence.pages[needed:]

    def _step_limit(self, reader: Sequence) -> int:
        return READ_TOKENS if reader.request.prompt_logprobs and reader.unread else self._step_tokens

    def _chunk(self, sequence: Sequence, count: int) -> Chunk:
        self.waiting.charge(sequence, count)
        return Chunk(sequence, count)

    def _next_reader(self, seen: set[Sequence]) -> Sequence | None:
        """Who reads on: of those in the middle of a prompt and the next of those who wait, whose client had least."""
        readers = [sequence for sequence in self.running if not sequence.decodes and sequence not in seen]
        reader = min(readers, key=self.waiting.served, default=None)
        front = self.waiting.front()
        if front and (reader is None or self.waiting.served(front) < self.waiting.served(reader)):
            reader = front if self._admit(front) else reader
        if reader:
            self._catch_up(reader)
        return reader

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
            count, expected = worthwhile(drafter, most, outputs, tokens, self._pace.cost)
            drafter.stake(outputs * (self._pace.cost(tokens + count) / self._pace.cost(tokens) - 1))
            while len(sequence.pages) * size < len(sequence.tokens) + count:
                page = self._prefix.take()
                assert page is not None, "pages were counted before"
                sequence.pages.append(page)
            chunks[index] = replace(chunk, draft=guess[:count])
            tokens, budget, outputs = tokens + count, budget - count, expected

    def _page_ahead(self, sequence: Sequence) -> Key | None:
        """What the page that is computed next is known by, if others may take it over when it is full."""
        index, size = sequence.computed // self._prefix.page_size, self._prefix.page_size
        if sequence.unread or (index + 1) * size >= len(sequence.tokens):
            return None
        return self._key(sequence, index)

    def _key(self, sequence: Sequence, index: int) -> Key:
        size = self._prefix.page_size
        return (
            sequence.pages[index - 1] if index else sequence.request.strengths,
            tuple(sequence.tokens[index * size : (index + 1) * size]),
        )

    def _catch_up(self, sequence: Sequence) -> None:
        """Take over pages that others have filled since it was admitted."""
        before, size = sequence.computed, self._prefix.page_size
        while (key := self._page_ahead(sequence)) and (page := self._prefix.find(*key)) is not None:
            index = sequence.computed // size
            self._prefix.release([sequence.pages[index]])
            sequence.pages[index] = page
            sequence.computed = (index + 1) * size
        self._save(sequence, sequence.computed - before)

    def _save(self, sequence: Sequence, tokens: int) -> None:
        """So many tokens did not have to be computed; which counts for prompts that are read for the first time."""
        if not sequence.set_back:
            sequence.cached_tokens += tokens
            self.cached_tokens += tokens

    def _provide(self, sequence: Sequence) -> bool:
        """Take the pages that a running sequence lacks, from the youngest if need be; False if it is itself that."""
        while len(sequence.pages) * self._prefix.page_size < len(sequence.tokens):
            page = self._prefix.take()
            if page is not None:
                sequence.pages.append(page)
                continue
            youngest = self.running.pop()
            self._give_up(youngest)
            youngest.set_back = True
            self.preemptions += 1
            self.waiting.put_back(youngest)
            if youngest is sequence:
                return False
        return True

    def _admit(self, sequence: Sequence) -> bool:
        """Let it run if there are pages for it and for the next page of everyone who runs already."""
        if len(self.running) == self._step_tokens:
            return False  # everyone who runs has to have his token in every step
        if not sequence.unread:
            sequence.pages = self._prefix.lookup(sequence.tokens, sequence.request.strengths)
            sequence.computed = len(sequence.pages) * self._prefix.page_size
        missing = -(-len(sequence.tokens) // self._prefix.page_size) - len(sequence.pages)
        if missing + len(self.running) > self._prefix.available:
            self._give_up(sequence)
            return False
        self._save(sequence, sequence.computed)
        self.waiting.take(sequence)
        self.running.append(sequence)
        return self._provide(sequence)

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
