"""Guesses at what comes next: what followed the last time that the text was as it is now.

A `Drafter` knows one text, prompt and answer alike. It finds the longest recent passage that the text now ends with, as
LZ77 does, through chains of places with the same last two tokens; what followed there is the guess (arXiv 2304.04487).
It keeps score of how often guesses after a match of some length came true, whether anybody acted on them or not, so
nothing has to be risked to find out; and account of the time that acting on them has lost, so that little is. What it
costs to verify a guess is known in `gadfly.engine.pace`; that a wrong one does no harm, in `gadfly.engine.engine`.
"""

from array import array
from collections.abc import Callable, Sequence

__all__ = ["LONGEST_DRAFT", "Drafter", "worthwhile"]

LONGEST_DRAFT = 24
LONGEST_MATCH = 32
CANDIDATES = 16  # places looked at for each guess
MEMORY = 0.95  # of the score, for each guess that is judged: the last twenty matter
ASSUMED = 2  # guesses that the chance assumed at first counts for
RECENT = 0.7  # of the share of guesses that came true, for each guess: the last three matter
MARGIN = 1.05  # a draft has to promise so much, as estimates err,
CAUTION = 0.5  # and so much more for every token that could have been written in the time lost so far,
FORGIVEN = 0.01  # of which this much is forgotten with every token of the text


class Drafter:
    """Guesses for one text, which only grows."""

    def __init__(self) -> None:
        self._latest: dict[tuple[int, int], int] = {}  # two tokens to the place after their latest occurrence
        self._before = array("i", [-1, -1])  # of each place: the one before it with the same two tokens, or -1
        self._guess: list[int] = []  # the latest,
        self._place = 0  # made when the text was so long
        self._match = 0  # and its last so many tokens were those before what was guessed
        self._hits = [0.0] * (LONGEST_MATCH**2).bit_length()
        self._tries = [0.0] * (LONGEST_MATCH**2).bit_length()
        self._streak = 0.0  # the share of the latest guesses that came true
        self._debt = 0.0  # tokens that could have been written in the time that drafts have lost

    def guess(self, tokens: Sequence[int]) -> list[int]:
        """What may follow `tokens`, at most LONGEST_DRAFT of them; empty if they never ended like this before."""
        self._judge(tokens)
        self._debt = max(0.0, self._debt - FORGIVEN * (len(tokens) - self._place))
        for place in range(len(self._before), len(tokens) + 1):
            pair = tokens[place - 2], tokens[place - 1]
            self._before.append(self._latest.get(pair, -1))
            self._latest[pair] = place
        source, self._match = self._find(tokens)
        self._place = len(tokens)
        self._guess = list(tokens[source : source + LONGEST_DRAFT]) if self._match else []
        while self._guess and len(self._guess) < LONGEST_DRAFT:  # the text repeats itself, so what is guessed does too
            self._guess.append(self._guess[source - self._place])
        return self._guess

    def chance(self, index: int) -> float:
        """Of the latest guess: how likely its token `index` is to come true if those before it do."""
        length = min(self._match + index, LONGEST_MATCH)
        rank, assumed = _rank(length), length / (length + 4)
        assumed += 0.8 * self._streak * (1 - assumed)  # who is copying goes on copying
        return (self._hits[rank] + ASSUMED * assumed) / (self._tries[rank] + ASSUMED)

    @property
    def margin(self) -> float:
        """How many times as fast tokens have to come for a draft to be worth the risk."""
        return MARGIN + CAUTION * self._debt

    def stake(self, tokens: float) -> None:
        """A draft is verified in the time that so many tokens take without."""
        self._debt += tokens

    def win(self) -> None:
        """A token of it came true."""
        self._debt = max(0.0, self._debt - 1)

    def _judge(self, tokens: Sequence[int]) -> None:
        """Score the latest guess by what has come since, up to its first error."""
        for index, (guessed, came) in enumerate(zip(self._guess, tokens[self._place :], strict=False)):
            rank = _rank(self._match + index)
            self._hits[rank] = self._hits[rank] * MEMORY + (guessed == came)
            self._tries[rank] = self._tries[rank] * MEMORY + 1
            self._streak = self._streak * RECENT + (1 - RECENT) * (guessed == came)
            if guessed != came:
                break

    def _find(self, tokens: Sequence[int]) -> tuple[int, int]:
        """The place after the longest match, the latest of equals, and how long that is: 0 if there is none."""
        end, best, longest = len(tokens), 0, 0
        place = self._before[end]
        for _ in range(CANDIDATES):
            if place < 0 or longest == LONGEST_MATCH:
                break
            length, most = 2, min(place, LONGEST_MATCH)
            while length < most and tokens[place - 1 - length] == tokens[end - 1 - length]:
                length += 1
            if length > longest:
                best, longest = place, length
            place = self._before[place]
        return best, longest


def _rank(length: int) -> int:
    """Matches of similar length share a score: two ranks an octave."""
    return int(min(length, LONGEST_MATCH) ** 2).bit_length() - 1


def worthwhile(
    drafter: Drafter, most: int, outputs: float, tokens: int, cost: Callable[[int], float]
) -> tuple[int, float]:
    """How many of a draft's first `most` tokens to verify so that tokens come fastest, and how many come then.

    The step computes `tokens` tokens and brings `outputs` as it is; `cost` tells what it costs with so many in all.
    """
    best, expected, rate = 0, outputs, drafter.margin * outputs / cost(tokens)
    hoped, probability = outputs, 1.0
    for index in range(most):
        probability *= drafter.chance(index)
        hoped += probability
        if hoped / cost(tokens + index + 1) > rate:
            best, expected, rate = index + 1, hoped, hoped / cost(tokens + index + 1)
    return best, expected
