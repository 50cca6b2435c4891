"""A sequence's part of a step."""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from gadfly.batch import Span
from gadfly.engine.request import Sequence

__all__ = ["Chunk"]


@dataclass(frozen=True)
class Chunk:
    """The next `count` pending tokens of a sequence, as part of a step, and a `draft` of those that may follow."""

    sequence: Sequence
    count: int
    draft: Tokens[int] = ()

    @property
    def decodes(self) -> bool:
        """It goes on with an answer that has begun; known before the step."""
        return self.sequence.decodes

    def span(self, page_size: int) -> Span:
        sequence, end = self.sequence, self.sequence.computed + self.count
        return Span(
            tokens=[*sequence.tokens[sequence.computed : end], *self.draft],
            start=sequence.computed,
            pages=sequence.pages[: -(-(end + len(self.draft)) // page_size)],
            wanted=[*sequence.wanted(self.count), *range(self.count, self.count + len(self.draft))],
            strengths=sequence.request.strengths,
        )
