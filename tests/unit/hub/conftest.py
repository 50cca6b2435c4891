from collections.abc import Iterator
from pathlib import Path

import pytest

from gadfly.hub.connection import Patience
from gadfly.hub.hugging_face import HuggingFace
from gadfly.hub.library import Library
from gadfly.hub.pull import Network
from hub_server import HubServer, serve


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serve() as server:
        yield server


@pytest.fixture
def network(hub: HubServer) -> Network:
    return Network(HuggingFace(hub.address), Patience(answer=5.0, stall=5.0, attempts=4, pause=0.0))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seen: list[tuple[int, int | None]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, total: int | None) -> None:
        self.seen.append((done, total))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
