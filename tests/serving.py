"""A real server on a free port, in a thread, behind which anything may answer: for tests that speak HTTP."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import uvloop
from uvicorn import Server

from gadfly.api.model_card import ModelCard
from gadfly.chat.store import Store
from gadfly.server.app.chat_app import ChatApp
from gadfly.server.app.sessions import Sessions
from gadfly.server.gate import House
from gadfly.server.limits import Limits
from gadfly.server.models import Models
from gadfly.server.run import address, listen, make_server
from gadfly.server.service import Service


class Shelf:
    """Models that are here without a file. One that is an exception fails to load."""

    def __init__(self, models: Mapping[str, object], room: int = 2**40) -> None:
        self.models = dict(models)
        self.space = room
        self.loads: list[str] = []

    def list(self):
        return [ModelCard(name, 0.0, size=100, digest="ab" * 32, licence="MIT") for name in self.models]

    def load(self, model, progress):
        self.loads.append(model.name)
        progress.advance(1, 2)
        found = self.models[model.name]
        if isinstance(found, Exception):
            raise found
        return found() if callable(found) else found

    def room(self):
        return self.space


class Serving:
    """`url` is where it is, `client` speaks to it, `service` is what it has."""

    def __init__(self, url: str, service: Service, lines: "Lines", server: Server, end: Callable[[], None]) -> None:
        self.url = url
        self.state = server.server_state  # uvicorn's: connections and tasks
        self.end = end  # and wait until it has
        self.host, _, port = url.removeprefix("http://").rpartition(":")
        self.port = int(port)
        self.service = service
        self.lines = lines
        self.client = httpx2.Client(base_url=url, timeout=60, trust_env=False)

    def post(self, path, **body):
        return self.client.post(path, json=body)

    def takes_connections(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=5).close()
        except OSError:
            return False
        return True


class Lines(logging.Handler):
    """What was logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))


@contextmanager
def serving(service: Service, house: House | None = None, chat_app: ChatApp | None = None) -> Iterator[Serving]:
    """A server that runs inside and has ended, with nothing left over, behind."""
    lines = Lines()
    log = logging.getLogger("gadfly.server")
    log.addHandler(lines)
    log.setLevel(logging.INFO)
    listening = listen("127.0.0.1", 0)
    server = make_server(service, house or House(), chat_app)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve([listening]))
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), failures
        thread.join(0.005)

    def end() -> None:
        server.should_exit = True
        assert eventually(lambda: not thread.is_alive()), "the server does not end"
        thread.join()

    try:
        with (running := Serving(address(listening), service, lines, server, end)).client:
            yield running
    finally:
        log.removeHandler(lines)
        end()


def eventually(condition: Callable[[], object], tries: int = 15_000) -> bool:
    """Whether `condition` comes true: for what a server does after its client has seen all there is to see.

    It counts tries and not seconds, in which a machine may have done something else.
    """
    pause = threading.Event()
    return any(condition() or pause.wait(0.002) for _ in range(tries))


def service_for(llm, name="scripted", limits: Limits | None = None, **options) -> Service:
    """A service with one model, which is there already when it is asked for."""
    models = Models(Shelf({name: llm}), **options)
    return Service(models, limits or Limits(grace=5.0), default_model=name)


def chat_app_for(service: Service, home: Path, **options) -> ChatApp:
    """The chat app of a house that asks for no keys, unless `options` say otherwise."""
    return ChatApp(service, Store(home / "chats.sqlite"), home, Sessions(home), **options)


__all__ = ["Serving", "Shelf", "chat_app_for", "eventually", "service_for", "serving"]
