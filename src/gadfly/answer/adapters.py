"""Adapters beside a model by name, and how strong each of them is in an answer.

A request may say so itself. Otherwise an adapter that plays the persona at hand goes by its wit, and every other is as
strong as the model was loaded with it. The engine knows numbers instead of names, in the order of `names`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gadfly.chat.character import Character
from gadfly.chat.persona import Persona
from gadfly.conversation import STRONGEST
from gadfly.errors import RequestError

__all__ = ["Adapters", "Beside", "checked_strength"]


@dataclass(frozen=True)
class Beside:
    """An adapter, how strong it is if nobody says anything else, and whom it plays, if anybody."""

    name: str
    strength: float = 1.0
    character: Character | None = None
    digest: str = ""  # of its numbers


class Adapters:
    """Of one model, in the order in which they were placed."""

    def __init__(self, loaded: Sequence[Beside] = ()) -> None:
        self._loaded = tuple(loaded)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self._loaded)

    @property
    def digest(self) -> str:
        """Of all their numbers; empty if there are none."""
        return "".join(f"{one.name}={one.digest}," for one in self._loaded)

    @property
    def have_dials(self) -> bool:
        return any(one.character for one in self._loaded)

    def cast(self, persona: Persona) -> Persona:
        """With the prompt that whoever plays it was trained with."""
        player = next((one.character for one in self._loaded if _plays(one, persona.name)), None)
        return player.cast(persona) if player else persona

    def strengths(
        self, asked: Mapping[str, float], persona: str | None = None, wit: float | None = None
    ) -> dict[str, float]:
        """Of every adapter, for an answer by a persona, or by nobody in particular: then wit is anybody's.

        Raises RequestError.
        """
        for name, strength in asked.items():
            checked_strength(name, strength)
            if name not in self.names and strength:
                raise RequestError(self._unknown(name), "adapters")
        found = {}
        for one in self._loaded:
            own = one.strength
            if wit is not None and one.character and (persona is None or one.character.plays(persona)):
                own = one.character.strength(wit)
            found[one.name] = float(asked.get(one.name, own))
        return found

    def numbers(self, strengths: Mapping[str, float]) -> tuple[float, ...]:
        """As the engine wants them: empty for the base."""
        found = tuple(strengths.get(name, 0.0) for name in self.names)
        return found if any(found) else ()

    def _unknown(self, name: str) -> str:
        if not self._loaded:
            return f"there is no adapter {name!r:.100}: this model has none beside it"
        close = get_close_matches(name, self.names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(self.names)}"
        return f"there is no adapter {name!r:.100} beside this model; {hint}"


def checked_strength(name: str, strength: object) -> float:
    """The value itself. Raises RequestError unless it is a number from 0 to 2."""
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= STRONGEST:
        raise RequestError(
            f"the strength of {name!r:.100} is {strength!r:.40}; it goes from 0, the model alone, to {STRONGEST:g}",
            "adapters",
        )
    return float(strength)


def _plays(one: Beside, persona: str) -> bool:
    return one.character is not None and one.character.plays(persona)
