from collections.abc import Iterator
from pathlib import Path

import pytest

from gadfly.chat.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "chats.sqlite")
    yield store
    assert store.check() == []
    store.close()
