"""One step's work: the new tokens of many sequences laid end to end, without padding.

A batch mixes prefill chunks (many tokens of one sequence) with decodes (one token each); nothing in it says which
is which. Sequence s owns the rows starts[s]:starts[s+1], which are consecutive positions, and the cache pages
page_ids[page_starts[s]:page_starts[s+1]]; position p of it lives in slot p % page_size of its page p // page_size.

    rows     0 1 2 3 4 | 5 | 6 | 7 8 9        starts  = [0, 5, 6, 7, 10]
    position 0 1 2 3 4 |31 | 9 |16 17 18

Adapters of the engine are numbered; a token is computed with each at the strength that its sequence gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Ints", "Span"]

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Span:
    """New tokens of one sequence: `tokens` go to positions start, start + 1, …; `pages` cover all positions so far.

    `strengths` are those of adapters 0, 1, …; of further ones they are 0.
    """

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]
    wanted: Sequence[int]  # which of the new tokens (0 = first) need logits
    strengths: Sequence[float] = ()


@dataclass(frozen=True)
class Batch:
    """`rows` lists the rows whose logits are wanted, in ascending order. Strengths are float32, the others int32."""

    tokens: Ints  # (tokens,)
    positions: Ints  # (tokens,)
    starts: Ints  # (sequences + 1,)
    page_ids: Ints  # (pages of all sequences,)
    page_starts: Ints  # (sequences + 1,)
    rows: Ints  # (wanted,)
    strengths: Floats  # (adapters that any sequence has a strength for, tokens)

    @classmethod
    def of(cls, spans: Sequence[Span]) -> Self:
        """Lay `spans` end to end."""
        starts = list(accumulate((len(span.tokens) for span in spans), initial=0))
        strengths = np.zeros((max((len(span.strengths) for span in spans), default=0), starts[-1]), np.float32)
        for first, span in zip(starts, spans, strict=False):
            strengths[: len(span.strengths), first : first + len(span.tokens)] = np.array(span.strengths)[:, None]
        return cls(
            tokens=_ints([token for span in spans for token in span.tokens]),
            positions=_ints([span.start + i for span in spans for i in range(len(span.tokens))]),
            starts=_ints(starts),
            page_ids=_ints([page for span in spans for page in span.pages]),
            page_starts=_ints(list(accumulate((len(span.pages) for span in spans), initial=0))),
            rows=_ints([first + row for first, span in zip(starts, spans, strict=False) for row in span.wanted]),
            strengths=strengths,
        )

    def strengths_of(self, adapter: int, rows: int) -> Floats | None:
        """Of an adapter, (rows,), for a tensor with a row per token or per wanted token; None if it is off in all."""
        if adapter >= len(self.strengths):
            return None
        strengths = self.strengths[adapter]
        strengths = strengths if rows == len(strengths) else strengths[self.rows]
        return strengths if strengths.any() else None


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int32)
