"""A persona: who is speaking, as data. How witty it is today is one number, `wit`, from 0 to 1.

A persona is a TOML file: those that come with Gadfly lie in `personas/`, a user's own in the folder `personas` under
GADFLY_HOME, where a file of the same name wins. It has a voice for each range of wit; a voice is a system prompt, a
greeting and example exchanges. Prompts are short on purpose: they are read before every conversation, and the
smallest models get worse with every adjective. What is said to a persona, and when: `gadfly.chat.session`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gadfly.chat.values import Message
from gadfly.completion import Sampling
from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.settings import home

__all__ = [
    "EXAMPLES_LIMIT",
    "NAME",
    "TEXT_LIMIT",
    "Persona",
    "Voice",
    "checked_wit",
    "load_persona",
    "persona_names",
    "read_persona",
]

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
FILE_LIMIT = 64_000  # bytes
TEXT_LIMIT = 4_000  # characters
EXAMPLES_LIMIT = 20


@dataclass(frozen=True)
class Voice:
    """How a persona speaks from `wit` upwards. Examples are what a user said and what it answered."""

    wit: float
    system: str
    greeting: str
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Persona:
    """`voices` ascend by wit and begin at 0. An answer also ends before any text of `stop`."""

    name: str
    description: str
    voices: tuple[Voice, ...]
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()

    def voice(self, wit: float) -> Voice:
        """The last one that begins at or below `wit`. Raises RequestError unless 0 ≤ wit ≤ 1."""
        checked_wit(wit)
        return next(voice for voice in reversed(self.voices) if voice.wit <= wit)

    def messages(self, wit: float) -> list[Message]:
        """What comes before every conversation: the system prompt and the examples."""
        voice = self.voice(wit)
        told = [Message("system", voice.system)]
        for user, assistant in voice.examples:
            told += [Message("user", user), Message("assistant", assistant)]
        return told


def checked_wit(wit: float) -> float:
    """The value itself. Raises RequestError unless it is a number from 0 to 1."""
    if isinstance(wit, bool) or not isinstance(wit, int | float) or not 0 <= wit <= 1:
        raise RequestError(f"wit is {wit!r}; it goes from 0, dry, to 1, merciless")
    return wit


def load_persona(name: str, folder: Path | None = None) -> Persona:
    """The persona of that name, from `folder` (default: GADFLY_HOME/personas) or else our own.

    Raises NotFoundError with what there is, SettingsError saying what is wrong with its file.
    """
    own, ours = _files(folder)
    file = own.get(name) or ours.get(name)
    if file is None:
        known = sorted({*own, *ours})
        close = get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise NotFoundError(f"there is no persona {name!r}; {hint}")
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_LIMIT + 1)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}; correct or delete it") from error
    return read_persona(data, str(file), name)


def persona_names(folder: Path | None = None) -> list[str]:
    """Every name that `load_persona` finds a file for."""
    own, ours = _files(folder)
    return sorted({*own, *ours})


def read_persona(data: bytes, place: str, name: str) -> Persona:
    """A persona from the bytes of a TOML file. Raises SettingsError naming `place` and the key that is wrong."""
    if len(data) > FILE_LIMIT:
        raise SettingsError(f"{place} is larger than {FILE_LIMIT} bytes; a persona is a few short texts")
    try:
        table = tomllib.loads(data.decode())
        persona = _persona(_Table(table, place, ("name", "description", "stop", "sampling", "voices")))
    except (ValueError, RecursionError) as error:  # some from numbers with too many digits to be shown
        raise SettingsError(f"{place} cannot be read as TOML: {error}; correct or delete it") from error
    if persona.name != name:
        raise SettingsError(f"{place}: name is {persona.name!r}; it has to be that of the file, {name!r}")
    return persona


def _files(folder: Path | None) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    return _named(folder or home() / "personas"), _named(Path(__file__).with_name("personas"))


def _named(folder: Path) -> Mapping[str, Path]:
    return {file.stem: file for file in folder.glob("*.toml") if NAME.fullmatch(file.stem)}


class _Table:
    """A TOML table that knows where it stands and refuses keys it does not know."""

    def __init__(self, values: object, place: str, known: tuple[str, ...]) -> None:
        if not isinstance(values, dict):
            raise SettingsError(f"{place} is {values!r:.60}; expected a table")
        for key in values:
            if key not in known:
                close = get_close_matches(key, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
                raise SettingsError(f"{place}: {key!r:.60} means nothing to a persona; {hint}")
        self.values: Mapping[str, Any] = values
        self.place = place

    def text(self, key: str) -> str:
        return _text(self.values.get(key), f"{self.place}: {key}")

    def list(self, key: str, longest: int) -> list[Any]:
        values = self.values.get(key, [])
        if not isinstance(values, list) or len(values) > longest:
            raise SettingsError(f"{self.place}: {key} is {values!r:.60}; expected a list of at most {longest}")
        return values


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_LIMIT:
        raise SettingsError(f"{place} is {value!r:.60}; expected a text of 1 to {TEXT_LIMIT} characters")
    return value.strip()


def _persona(table: _Table) -> Persona:
    voices = tuple(
        _voice(values, f"{table.place}: voice {number}") for number, values in enumerate(table.list("voices", 20), 1)
    )
    starts = [voice.wit for voice in voices]
    if not voices or starts[0] != 0 or starts != sorted(set(starts)):
        raise SettingsError(f"{table.place}: voices begin at wit {starts}; the first has to begin at 0, and each later")
    return Persona(
        name=table.text("name"),
        description=table.text("description"),
        voices=voices,
        sampling=_sampling(table.values.get("sampling", {}), f"{table.place}: sampling"),
        stop=tuple(_text(value, f"{table.place}: stop") for value in table.list("stop", 16)),
    )


def _voice(values: object, place: str) -> Voice:
    table = _Table(values, place, ("wit", "system", "greeting", "examples"))
    examples = table.list("examples", EXAMPLES_LIMIT)
    for example in examples:
        if not isinstance(example, list) or len(example) != 2:
            raise SettingsError(f"{place}: the example {example!r:.60} is no pair of a question and an answer")
    try:
        wit = checked_wit(table.values.get("wit", 0))
    except RequestError as error:
        raise SettingsError(f"{place}: {error}") from error
    pairs = tuple((_text(user, f"{place}: examples"), _text(said, f"{place}: examples")) for user, said in examples)
    return Voice(wit, table.text("system"), table.text("greeting"), pairs)


def _sampling(values: object, place: str) -> Sampling:
    # A seed belongs to a conversation, and ids of tokens to one model: neither is a matter of character.
    names = tuple(one.name for one in fields(Sampling) if one.name not in ("seed", "logit_bias"))
    try:
        return Sampling(**_Table(values, place, names).values)
    except RequestError as error:
        raise SettingsError(f"{place}: {error}") from error
