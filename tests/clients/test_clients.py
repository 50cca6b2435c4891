"""Every client of the matrix does with our server all that its script asks of it; the page tells of every one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.matrix import CLIENTS, MODEL, PAGE, Client, Result, ask, page, serve
from gadfly.hub.library import Library
from gadfly.settings import home


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if Library(home()).resolve(MODEL) is None:
        pytest.skip("the default model is not here; run `make model`")
    with serve(tmp_path_factory.mktemp("server") / "log.txt") as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client(client: Client, url: str, tmp_path: Path) -> None:
    results = ask(client, url, tmp_path / "errors.txt")
    assert not [result for result in results if not result.ok], (tmp_path / "errors.txt").read_text()


def test_the_page_tells_of_every_client() -> None:
    text = PAGE.read_text()
    assert [client.name for client in CLIENTS if f"\n| {client.name} | " not in text] == []


def test_a_failure_is_seen_on_the_page() -> None:
    client = CLIENTS[0]
    text = page({client: [Result("answer", True), Result("tools", False, "no | call\nat all")]}, {client: "1.0"})
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {client.name}"))
    assert row.startswith(f"| {client.name} | 1.0 | – | ✓ | – | ✗ | – |")
    assert "tools: no / call at all" in row and row.count("|") == 14
