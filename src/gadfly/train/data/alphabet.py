"""The tokens of a model by their bytes: whether a teacher has the same, and what it found likely as ids.

What a teacher would have said next is only known of its own tokens, so it teaches distributions only to models that
have these, too. Where an answer is read in other pieces than it was said in, its text alone is learnt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from gadfly.batch import Ints
from gadfly.errors import RequestError, UnsupportedError
from gadfly.ops import Floats
from gadfly.text import Tokenizer
from gadfly.train.data.likely import MOST, Choice

__all__ = ["Alphabet", "Alternatives"]


@dataclass(frozen=True, eq=False)
class Alternatives:
    """Of every token of a sample, what is learnt of its place: `shares` (tokens, n) of the tokens `ids` (tokens, n).

    What they leave of one is the token's own. Float32 and int32.
    """

    ids: Ints
    shares: Floats

    @classmethod
    def none(cls, tokens: int, most: int = MOST) -> "Alternatives":
        return cls(np.zeros((tokens, most), np.int32), np.zeros((tokens, most), np.float32))


class Alphabet:
    """Of a model that errors call `name`."""

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        self.name = name
        self._bytes = [tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size)]
        self._ids = {data: token for token, data in enumerate(self._bytes) if data}  # pieces come after single bytes
        for token, data in enumerate(self._bytes):
            if not data:
                self._bytes[token] = tokenizer.token_text(token).encode()  # as servers show control tokens
                self._ids.setdefault(self._bytes[token], token)

    def learn(self, into: Alternatives, ids: Sequence[int], begin: int, end: int, choices: Sequence[Choice]) -> None:
        """Note what a teacher found likely of the answer at ids[begin:end]. Its chances are made to sum to one.

        Raises RequestError if the answer is not what the teacher said, UnsupportedError if their tokens are others.
        """
        own, said = ([self._bytes[token] for token in ids[begin:end]], [one.said for one in choices])
        if not b"".join(own).lstrip().startswith(b"".join(said).strip()):
            raise RequestError("what the model's template makes of the answer is not what its teacher said")
        there = dict(zip(_spans(said), choices, strict=True))
        met = [(place, there[span]) for place, span in enumerate(_spans(own), begin) if span in there]
        if 2 * len(met) < len(said):
            raise self._other("cuts other words")
        for place, choice in met:
            found = [(self._id(data), logprob) for data, logprob in choice.likely if data]
            if found:
                tokens, logprobs = zip(*found, strict=True)
                chances = np.exp(np.array(logprobs, np.float64) - max(logprobs))
                into.ids[place, : len(tokens)] = tokens
                into.shares[place, : len(tokens)] = chances / chances.sum()

    def _id(self, data: bytes) -> int:
        if data not in self._ids:
            raise self._other(f"has the token {data.decode(errors='replace')!r:.40}")
        return self._ids[data]

    def _other(self, why: str) -> UnsupportedError:
        return UnsupportedError(
            f"the teacher {why}, unlike {self.name}, so what it found likely cannot be learnt; take a teacher with the "
            'same tokenizer, or learn what it said alone with method = "sft"'
        )


def _spans(pieces: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Where each piece begins and ends in the text that they are, counted from its first word."""
    whole = b"".join(pieces)
    ends = [end - (len(whole) - len(whole.lstrip())) for end in accumulate(map(len, pieces))]
    return zip([end - len(piece) for end, piece in zip(ends, pieces, strict=True)], ends, strict=True)
