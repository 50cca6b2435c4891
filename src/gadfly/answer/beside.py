"""Which adapters a model is loaded with: those that were named, or else those on the shelf that were made for it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gadfly.answer.adapters import Beside, checked_strength
from gadfly.chat.character import Character
from gadfly.errors import GadflyError, RequestError, UnsupportedError
from gadfly.hub.adapters import find_adapter, name_of_adapter, shelved_adapters
from gadfly.weights.adapter import Adapter, read_adapter, read_facts
from gadfly.weights.likeness import likeness
from gadfly.weights.model_file import ModelFile

__all__ = ["MOST", "Found", "adapters_for"]

MOST = 16  # beside a model: every one costs a little time in every step, used or not


@dataclass(frozen=True)
class Found:
    """`notes` say what a user should know of them."""

    adapters: tuple[Adapter, ...] = ()
    beside: tuple[Beside, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of their numbers."""
        return sum(pair.down.nbytes + pair.up.nbytes for one in self.adapters for pair in one.pairs.values())


def adapters_for(file: ModelFile, asked: Mapping[str, float] | None, home: Path) -> Found:
    """Those of `asked`, by path or name, at these strengths. None: all on the shelf that were made for the model.

    The latter are off, but for one that plays the persona of its own name. Raises GadflyError for what was asked for.
    """
    return _shelved(file, home) if asked is None else _asked(file, asked, home)


def _asked(file: ModelFile, asked: Mapping[str, float], home: Path) -> Found:
    if len(asked) > MOST:
        raise RequestError(f"{len(asked)} adapters are asked for; a model takes up to {MOST}")
    adapters: list[Adapter] = []
    beside: list[Beside] = []
    notes: list[str] = []
    for given, strength in asked.items():
        path = find_adapter(given, home)
        name = name_of_adapter(path)
        if any(one.name == name for one in beside):
            raise RequestError(f"two adapters are called {name!r}; rename one of them")
        adapter = read_adapter(path, file.page, file.spec)
        notes += _doubts(name, adapter, file)
        adapters.append(adapter)
        beside.append(
            Beside(name, checked_strength(name, strength), Character.of(adapter.facts, str(path)), adapter.digest)
        )
    return Found(tuple(adapters), tuple(beside), tuple(notes))


def _shelved(file: ModelFile, home: Path) -> Found:
    shelf = shelved_adapters(home)
    adapters: list[Adapter] = []
    beside: list[Beside] = []
    notes: list[str] = []
    own = likeness(file.spec, file.weights) if shelf else ""
    for name, path in shelf.items():
        try:
            if read_facts(path).get("likeness") != own:
                continue
            adapter = read_adapter(path, file.page, file.spec)
            character = Character.of(adapter.facts, str(path))
            if adapter.changes_experts:  # not every backend has such adapters, and nobody has asked for it
                raise UnsupportedError("it changes experts, and stands beside no model unless it is named")
        except GadflyError as error:
            notes.append(f"{name} is left out: {error}")
            continue
        plays = character if character and character.persona == name else None
        adapters.append(adapter)
        beside.append(Beside(name, 0.0, plays, adapter.digest))
    if len(adapters) > MOST:
        notes.append(f"{len(adapters)} adapters were made for this model, of which {MOST} are beside it; name others")
    return Found(tuple(adapters[:MOST]), tuple(beside[:MOST]), tuple(notes))


def _doubts(name: str, adapter: Adapter, file: ModelFile) -> Sequence[str]:
    made_for = adapter.facts.get("likeness")
    if made_for is not None and made_for != likeness(file.spec, file.weights):
        return (f"{name} was trained on another model than this one, or on another format of it",)
    template = str(file.metadata.get("tokenizer.chat_template", ""))
    if adapter.facts.get("template") not in (None, hashlib.sha256(template.encode()).hexdigest()):
        return (f"{name} was trained with another chat template than this model's",)
    return ()
