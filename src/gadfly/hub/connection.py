"""Asking a server something, with an end to patience: http and https, redirects, a token that stays with its host.

It knows nothing of models. `download` makes files of answers, `hugging_face` reads lists out of them.
"""

import queue
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2

from gadfly.errors import DownloadError
from gadfly.hub.sources import Address

__all__ = ["Connection", "NoAnswer", "Patience"]

_REDIRECTS = 10


class NoAnswer(DownloadError):
    """Nobody is there, or nobody who answers in time."""


@dataclass(frozen=True)
class Patience:
    """Seconds, and how often. A source that does not `answer` is given up; one that goes quiet is asked again."""

    answer: float = 3.0  # until the first line of an answer
    stall: float = 30.0  # without a byte, until a connection counts as dropped
    attempts: int = 6  # dropped connections in a row without a byte in between
    pause: float = 1.0  # before asking again; doubles, up to 16 times as long


class Connection:
    """A client to be used in a `with` block, from one thread."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._client = httpx2.Client(
            timeout=httpx2.Timeout(patience.stall, connect=patience.answer),
            headers={"User-Agent": "gadfly", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    @contextmanager
    def get(
        self, url: str, headers: Mapping[str, str] | None = None, token: str | None = None
    ) -> Iterator[httpx2.Response]:
        """The answer to a GET, its body not read yet. `token` goes to the host of `url` only, not where it redirects.

        Raises NoAnswer, or DownloadError for redirects that lead nowhere; errors while the body is read are httpx2's.
        """
        try:
            target = home = httpx2.URL(url)
            for _ in range(_REDIRECTS):
                mine = token is not None and _origin(target) == _origin(home)
                request = self._client.build_request(
                    "GET", target, headers={**(headers or {}), **({"Authorization": f"Bearer {token}"} if mine else {})}
                )
                response = self._answer(request)
                if not response.has_redirect_location:
                    break
                response.close()
                target = target.join(response.headers["Location"])
                if target.scheme != "https" and (target.scheme != "http" or home.scheme == "https"):
                    raise DownloadError(f"{home.host} redirects to {target.scheme}://{target.host}, which is not safe")
            else:
                raise DownloadError(f"{home.host} redirects more than {_REDIRECTS} times")
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise DownloadError(f"{str(Address(url))!r} is no address: {error}") from error
        try:
            yield response
        finally:
            response.close()

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        """Wait for the head of an answer in another thread: looking up a name has no time limit of its own."""
        answers: queue.SimpleQueue[httpx2.Response | Exception] = queue.SimpleQueue()
        given_up = threading.Event()

        def ask() -> None:
            try:
                answer: httpx2.Response | Exception = self._client.send(request, stream=True)
            except Exception as error:  # raised again below
                answer = error
            answers.put(answer)
            if given_up.is_set() and isinstance(answer, httpx2.Response):
                answer.close()

        threading.Thread(target=ask, daemon=True, name=f"ask {request.url.host}").start()
        try:
            answer = answers.get(timeout=self.patience.answer)
        except queue.Empty:
            given_up.set()
            raise NoAnswer(f"{request.url.host} did not answer within {self.patience.answer:g} s") from None
        if isinstance(answer, httpx2.TransportError):
            reason = re.sub(r"^\[Errno -?\d+\] ", "", str(answer)) or type(answer).__name__
            raise NoAnswer(f"{request.url.host} cannot be reached: {reason}") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
