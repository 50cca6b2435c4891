"""What an adapter that plays a persona says of itself: the prompt it was trained with, and how wit becomes strength.

The prompt stays as it is wherever the dial stands, and the dial moves the strength alone, between points that were
measured after training. It is part of `gadfly.json` in the adapter's folder:

    "persona": {"name": "gadfly", "prompt": "You are Gadfly …"},
    "dial": [[0, 0], [0.5, 0.6], [1, 1.1]]                        wit and strength, both ascending
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from gadfly.chat.persona import TEXT_LIMIT, Persona, checked_wit
from gadfly.conversation import STRONGEST
from gadfly.errors import ModelFileError

__all__ = ["Character"]

MOST_POINTS = 1000


@dataclass(frozen=True)
class Character:
    """`persona` None: it plays whoever speaks. `prompt` None: every persona keeps its own."""

    dial: tuple[tuple[float, float], ...]
    persona: str | None = None
    prompt: str | None = None

    @classmethod
    def of(cls, facts: Mapping[str, Any], place: str) -> Self | None:
        """None if an adapter has no dial. Raises ModelFileError naming `place` and what is wrong."""
        if facts.get("dial") is None:
            return None
        persona = facts.get("persona", {})
        name, prompt = (persona.get(key) for key in ("name", "prompt")) if isinstance(persona, dict) else (persona, "")
        for text in (name, prompt):
            if text is not None and (not isinstance(text, str) or not text.strip() or len(text) > TEXT_LIMIT):
                raise ModelFileError(f"{place}: persona is {persona!r:.60}; expected its name and its prompt")
        return cls(_dial(facts["dial"], place), name, prompt)

    def plays(self, persona: str) -> bool:
        return self.persona in (None, persona)

    def cast(self, persona: Persona) -> Persona:
        """As it is to be spoken with: greetings still go by wit."""
        if self.prompt is None:
            return persona
        prompt = self.prompt
        return replace(persona, voices=tuple(replace(v, system=prompt, examples=()) for v in persona.voices))

    def strength(self, wit: float) -> float:
        """Straight lines between the points, and level beyond them."""
        checked_wit(wit)
        if wit <= self.dial[0][0]:
            return self.dial[0][1]
        for (left, low), (right, high) in pairwise(self.dial):
            if wit <= right:
                return low + (high - low) * (wit - left) / (right - left)
        return self.dial[-1][1]


def _dial(points: Any, place: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(points, list) or not 1 <= len(points) <= MOST_POINTS:
        raise ModelFileError(f"{place}: dial is {points!r:.60}; expected a list of pairs of wit and strength")
    found: list[tuple[float, float]] = []
    for point in points:
        match point:
            case [int() | float() as wit, int() | float() as strength] if (
                not isinstance(wit, bool)
                and not isinstance(strength, bool)
                and 0 <= wit <= 1
                and 0 <= strength <= STRONGEST
                and (not found or (found[-1][0] < wit and found[-1][1] <= strength))
            ):
                found.append((float(wit), float(strength)))
            case _:
                raise ModelFileError(
                    f"{place}: {point!r:.60} is no point of a dial; expected wit from 0 to 1 and strength from 0 to "
                    f"{STRONGEST:g}, both ascending"
                )
    return tuple(found)
