"""What a step costs, learned from those that were run: how dear one token is, and how much dearer several are.

The two are kept apart because they change at different times. The seconds of a step of one token grow with the text
that it attends to and wander with the machine; that eight tokens cost twice as much as one is a property of model and
processor. Nothing is known here of models: a pace is learned within some steps, and it follows when things change.
"""

import math
import sys
from bisect import bisect_left, insort

__all__ = ["Pace"]

FIRST_SLOPE = 0.15  # of the cost of a token, each one more costs before anything is known: weights are read only once
QUICK, SLOW = 0.3, 0.1  # weights of a new measurement
FIRST_ALONG = 8.0  # tokens of prompts
REFRESH = 32  # steps with prompts, before one without shows what answers take now
WILD = 2.0  # a measurement further off than this counts as so far: the machine did something else


class Pace:
    """Of steps that write answers: `cost` of a step of so many tokens, in steps of one token, and `seconds` of it.

    What they may take along of prompts is what takes `share` times as long as they do.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._along = FIRST_ALONG
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
        expected = self.seconds(tokens)
        seconds = min(max(seconds, expected / WILD), expected * WILD)
        if tokens > 1:
            if tokens not in self._costs:
                insort(self._known, tokens)
                self._costs[tokens], self._counts[tokens] = seconds / self._unit, 0
            self._counts[tokens] += 1
            weight = max(SLOW, 1 / self._counts[tokens])
            self._costs[tokens] += weight * (seconds / self._unit - self._costs[tokens])
        self._unit += QUICK * (seconds / self.cost(tokens) - self._unit)

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

    @property
    def prompt_tokens(self) -> int:
        """How many tokens of prompts a step with answers may take along; 0 at times, to see what answers take alone."""
        if self._share == math.inf:
            return sys.maxsize
        return int(self._along) if self._stale < REFRESH else 0

    def note_prompt(self, tokens: int, along: int, seconds: float) -> None:
        """A step of `tokens` tokens of answers took `along` tokens of prompts along, and so long in all."""
        self._stale += 1
        if not self._unit:
            return
        allowed, spent = self._share * self.seconds(tokens), seconds - self.seconds(tokens)
        if along < self._along / 2 and spent < allowed:
            return  # so few say nothing about many
        fitting = along * allowed / max(spent, allowed / 4)
        self._along = max(1.0, min(max(fitting, self._along / WILD), self._along * WILD))
