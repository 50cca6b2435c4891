"""`gadfly serve`, killed at the worst of moments: nothing is left that its next start trips over."""

import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx2
import pytest

from gadfly.hub.library import Library
from gadfly.settings import home

MODEL = "smollm2"
FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
SLOWEST = 8.0  # seconds that a start may take here, give or take: kills are strewn over them

Moment = Callable[["Started"], object]


class Started:
    """A server that asks for a key, on a home of its own; the key is kept when it is shown, as people would."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gadfly", "serve", MODEL, "--host", "0.0.0.0", "--port", "0", "--context", "1024"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GADFLY_HOME": str(place), "PYTHONUNBUFFERED": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.stdout and not self.process.stdout.closed:
            self.end()

    def said(self) -> str:
        """Up to where it is ready to listen; less if it could not."""
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or (lines[-1] and not lines[-1].startswith("Ctrl-C")):
            lines.append(self.process.stdout.readline())
        return self._kept("".join(lines))

    def end(self, kill: bool = True) -> str:
        """What else it said."""
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        said, errors = self.process.communicate(timeout=300)
        self._kept(said)
        return errors

    @property
    def key(self) -> str:
        return (self.place / "shown").read_text()

    def _kept(self, said: str) -> str:
        if shown := re.search(r"gadfly-\S+", said):
            (self.place / "shown").write_text(shown[0])
        return said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    if (model := Library(home()).resolve(MODEL)) is None:
        pytest.skip("the default model is not here; run `make model`")
    command = [sys.executable, "-m", "gadfly", "pull", str(model), "--name", MODEL]
    subprocess.run(command, env={**os.environ, "GADFLY_HOME": str(tmp_path)}, check=True, capture_output=True)
    yield tmp_path


def when(pattern: str) -> Moment:
    """As soon as there is such a file."""

    def wait(server: Started) -> None:
        while not any(server.place.glob(pattern)):
            assert server.process.poll() is None, server.end()

    return wait


def writing(server: Started) -> None:
    """In the middle of an answer."""
    url = address_in(server.said())
    asked = {"messages": FRANCE, "stream": True, "max_tokens": 500, "logit_bias": {"2": -100}}
    headers = {"authorization": f"Bearer {server.key}"}
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=300) as answer:
        next(answer.iter_lines())
        server.process.kill()


def address_in(said: str) -> str:
    found = re.search(r"http://\S+", said)
    assert found, said
    return found[0].replace("0.0.0.0", "127.0.0.1")


def starts_as_ever(place: Path) -> None:
    """The key that was shown last is good, it answers, and no half-packed weights are left."""
    with Started(place) as server:
        url = address_in(server.said())
        headers = {"authorization": f"Bearer {server.key}"}
        asked = {"messages": FRANCE, "temperature": 0, "max_tokens": 16}
        answer = httpx2.post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=300)
        assert "Paris" in answer.json()["choices"][0]["message"]["content"]
        errors = server.end(kill=False)
    assert server.process.returncode == 0 and "Traceback" not in errors
    assert not list(place.rglob(".packed*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "moment",
    [lambda _: None, when("keys.*"), when("cache/packed/*/.packed.*"), Started.said, writing],
    ids=["at once", "with a key", "while packing", "when it listens", "while answering"],
)
def test_a_start_after_a_kill_is_like_any_other(place: Path, moment: Moment) -> None:
    with Started(place) as server:
        moment(server)
    starts_as_ever(place)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_kills_at_any_moment(place: Path) -> None:
    chance = random.Random(0)
    for _ in range(20):
        with Started(place) as server:
            timer = threading.Timer(chance.uniform(0, SLOWEST), server.process.kill)
            timer.start()
            server.said()
            server.process.wait(300)
            timer.join()
    starts_as_ever(place)
