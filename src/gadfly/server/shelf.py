"""The models that can be asked for by name: those of the library, and files that were named when the server started."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from gadfly.api.model_card import ModelCard
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.disk import size_of
from gadfly.hub.library import Entry, Library
from gadfly.hub.memory import memory_available
from gadfly.hub.progress import Progress
from gadfly.llm import LLM

__all__ = ["LibraryShelf"]


class LibraryShelf:
    """`files` are models by name that need not be in the library. `load` makes an LLM of a path."""

    def __init__(self, library: Library, files: Mapping[str, Path], load: Callable[[Path, Progress], LLM]) -> None:
        self._library = library
        self._files = dict(files)
        self._load = load
        self._started = int(time.time())
        self._catalogue = Catalogue.load()

    def list(self) -> Sequence[ModelCard]:
        found = {entry.name: self._card(entry) for entry in self._library.list() if not entry.missing()}
        for name, path in self._files.items():
            found.setdefault(name, ModelCard(name, self._started, size=size_of(path)))
        return tuple(found.values())

    def load(self, model: ModelCard, progress: Progress) -> LLM:
        path = self._files.get(model.name) or self._library.find(model.name).path
        return self._load(path, progress)

    def room(self) -> int:
        return memory_available()

    def _card(self, entry: Entry) -> ModelCard:
        created = datetime.fromisoformat(entry.added).timestamp()
        card = ModelCard(
            entry.name, created, size=entry.size, digest=entry.sha256, licence=entry.licence or "not stated"
        )
        if (known := self._catalogue.get(entry.name)) is None:
            return card
        return replace(
            card,
            family=known.family,
            parameters=known.parameters,
            quantization=known.format,
            context=known.context,
            width=known.shape.dim,
        )
