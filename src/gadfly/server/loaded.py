"""A model in memory, and one on its way there. Who has them come and go: `models`."""

import time
from dataclasses import dataclass, field
from threading import Thread

from gadfly.api.model_card import ModelCard
from gadfly.server.model import Model

__all__ = ["Loaded", "Loading"]


@dataclass(eq=False)
class Loading:
    """A model on its way into memory. `done` is a share, or None if it cannot be told."""

    model: ModelCard
    done: float | None = None
    text: str = "loading"

    def note(self, text: str) -> None:
        self.text = text

    def advance(self, done: int, total: int | None) -> None:
        self.done = done / total if total else None


@dataclass(eq=False)
class Loaded:
    """A model in memory. `users` are answering with it now; after `keep` seconds without any it goes."""

    model: ModelCard
    llm: Model
    keep: float
    thread: Thread
    users: int = 0
    used: float = 0.0  # when, by the clock of `Models`
    loaded_at: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        return self.model.name
