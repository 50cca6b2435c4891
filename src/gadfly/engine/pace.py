"""What a step costs, learned from those that were run: how dear one token is, and how much dearer several are.

The two are kept apart because they change at different times. The seconds of a step of one token grow with the text
that it attends to and wander with the machine; that eight tokens cost twice as much as one is a property of model and
processor. Nothing is known here of models: a pace is learned within some steps, and it follows when things change.

Prompts that are read beside answers are paid for in time that they are given while answers are written. A token of
theirs has a price, which grows with its position, as it attends to all before it.
"""

import math
import sys
from bisect import bisect_left, insort

__all__ = ["Pace"]

FIRST_SLOPE = 0.15  # of the cost of a token, each one more costs before anything is known: weights are read only once
QUICK, SLOW = 0.3, 0.1  # weights of a new measurement
FIRST_PRICE = 0.1  # of a step of one token, for a token of a prompt, before anything is known
LEAST_PRICE = 0.001
CHUNK = 8  # tokens of a prompt, at least: what is before them is read once, so that fewer take nearly as long
REACH = 1024  # positions for which the price rises by `_rise`
REFRESH = 16  # steps with prompts, before one without shows what answers take now
WILD = 2.0  # times as long as expected: what took longer counts as so long, as the machine did something else


class Pace:
    """Of steps that write answers: `cost` of a step of so many tokens, in steps of one token, and `seconds` of it.

    Prompts have `share` times as much time as answers; with an infinite share nobody looks at the clock.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._given = 0.0  # seconds to prompts, for the latest step with answers
        self._saved = 0.0  # seconds that they have left
        self._price, self._rise = 1.0, 0.0  # of a token at the beginning of a prompt; of one REACH later, so much more
        self._stale = 0  # steps since the last that took nothing along
        self._unit = 0.0  # seconds of a step of one token
        self._costs = {1: 1.0}
        self._counts = {1: 1}
        self._known = [1]  # the keys, in ascending order

    def note(self, tokens: int, seconds: float) -> None:
        """A step of `tokens` tokens, one or a few of each answer and none of prompts, took so long."""
        self._stale = 0
        if not self._unit:
            self._unit = seconds / self.cost(tokens)
            self._price = self._unit * FIRST_PRICE
        self._learn(tokens, seconds)
        self._give(tokens)

    def cost(self, tokens: int) -> float:
        """Of a step of `tokens` tokens, at least one; what never was is read off the line through its neighbours."""
        if tokens in self._costs:
            return self._costs[tokens]
        index = bisect_left(self._known, tokens)
        below = self._known[index - 1]
        if index < len(self._known):
            above = self._known[index]
            slope = (self._costs[above] - self._costs[below]) / (above - below)
        else:
            slope = (self._costs[below] - 1) / (below - 1) if below > 1 else FIRST_SLOPE
        return self._costs[below] + slope * (tokens - below)

    def seconds(self, tokens: int) -> float:
        """Of such a step, lately; 0 if there was none."""
        return self._unit * self.cost(tokens)

    def price(self, position: int) -> float:
        """Seconds that a token of a prompt at `position` adds to a step with answers."""
        return self._price + self._rise * position / REACH

    def fitting(self, position: int, promised: float) -> int:
        """How many tokens of a prompt at `position` a step with answers may take along, beside others for `promised`.

        None until there is time for a chunk that is worth it; and none at times, to see what answers take alone.
        """
        if self._share == math.inf:
            return sys.maxsize
        price = self.price(position)
        self._saved = min(self._saved, promised + max(self._given, CHUNK * price))  # nobody saves up for a long pause
        left = self._saved - promised
        return int(left / price) if left >= CHUNK * price and self._stale < REFRESH else 0

    def note_prompt(self, tokens: int, along: int, position: int, seconds: float) -> None:
        """A step of `tokens` tokens of answers took `along` tokens of prompts along, and so long in all.

        `position` is theirs, in the mean.
        """
        self._stale += 1
        if self._share == math.inf:
            return
        if seconds < self.seconds(tokens):  # then answers alone take less, too
            self._learn(tokens, seconds)
        price, distance = self.price(position), position / REACH
        spent = min(max((seconds - self.seconds(tokens)) / along, price / WILD), price * WILD)
        if along >= CHUNK:
            error = QUICK * (spent - price) / (1 + distance**2)  # least mean squares, normalised
            self._price = max(self._price + error, LEAST_PRICE * self._unit)
            self._rise = max(self._rise + error * distance, 0.0)
        self._saved -= spent * along
        self._give(tokens)

    def _learn(self, tokens: int, seconds: float) -> None:
        seconds = min(seconds, self.seconds(tokens) * WILD)
        if tokens > 1:
            if tokens not in self._costs:
                insort(self._known, tokens)
                self._costs[tokens], self._counts[tokens] = seconds / self._unit, 0
            self._counts[tokens] += 1
            weight = max(SLOW, 1 / self._counts[tokens])
            self._costs[tokens] += weight * (seconds / self._unit - self._costs[tokens])
        self._unit += QUICK * (seconds / self.cost(tokens) - self._unit)

    def _give(self, tokens: int) -> None:
        self._given = self._share * self.seconds(tokens)
        self._saved += self._given
