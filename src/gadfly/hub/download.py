"""One file over HTTP, however often the line drops: resumed, checked, and in place only when it is whole.

    model.gguf.part         what has arrived so far; it survives kill -9, a full disk and a lost network
    model.gguf.part.json    what it is a part of: the address, the server's tag for the content, the expected sha256
    model.gguf              moved here when size and sha256 are right

What arrived is only continued if it is certain to be the same content: the sha256 is known, or the server confirms its
tag (RFC 9110, If-Range). Sizes and checksums that a server states are believed against the server, never for it.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx2

from gadfly.errors import DownloadError
from gadfly.hub.check import MAGIC, Checked
from gadfly.hub.connection import Connection, NoAnswer
from gadfly.hub.disk import move, require_room, write_whole, writing
from gadfly.hub.progress import Progress, size_text
from gadfly.hub.sources import Address

__all__ = ["download"]

_CHUNK = 1 << 20


def download(
    url: str,
    target: Path,
    connection: Connection,
    progress: Progress,
    *,
    size: int | None = None,
    sha256: str | None = None,
    token: str | None = None,
    magic: bytes = MAGIC,
) -> Checked:
    """Fetch a file that begins with `magic` from `url` to `target`. The caller holds the lock of the model.

    Raises DownloadError (what has arrived is kept unless it is wrong), CapacityError, SettingsError.
    """
    transfer = _Transfer(url, target, connection, progress, size, sha256, token, magic)
    with writing(target):
        return transfer.run()


class _Again(Exception):
    """The line dropped, or the server asks to come back later."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class _Transfer:
    url: str
    target: Path
    connection: Connection
    progress: Progress
    expected: int | None  # bytes
    sha256: str | None
    token: str | None
    magic: bytes

    def __post_init__(self) -> None:
        self.shown = str(Address(self.url))
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.label = self.target.with_name(f"{self.target.name}.part.json")
        self._start_over()

    def _start_over(self) -> None:
        self.digest, self.done, self.start, self.tag = hashlib.sha256(), 0, b"", ""
        self.size = self.expected  # or what the server states

    def run(self) -> Checked:
        resumed = self._recall()
        try:
            self._transfer()
            return self._finish()
        except _WrongContent:
            self._forget()
            if not resumed:
                raise
        self.progress.note(f"what was here of {self.target.name} does not fit; starting over")
        self._transfer()
        try:
            return self._finish()
        except _WrongContent:
            self._forget()
            raise

    def _transfer(self) -> None:
        patience, failures, furthest = self.connection.patience, 0, 0
        while True:
            try:
                return self._attempt()
            except _Again as reason:
                again, wait = str(reason), reason.wait
            except NoAnswer as reason:
                if not furthest:
                    raise
                again, wait = str(reason), 0.0
            failures = 1 if self.done > furthest else failures + 1
            furthest = max(furthest, self.done)
            if failures >= (patience.attempts if furthest else _ATTEMPTS_WITHOUT_A_BYTE):
                raise DownloadError(
                    f"{self.shown}: {again}, {failures} times in a row; what has arrived ({size_text(self.done)}) is "
                    "kept, and the same command continues there"
                )
            self.progress.note(f"{again}; trying again at {size_text(self.done)}")
            time.sleep(max(wait, patience.pause * min(2 ** (failures - 1), 16)))

    def _attempt(self) -> None:
        """One request, from where we are to the end."""
        if self.done and self.done == self.size:
            return
        if not self.tag and self.sha256 is None:
            self._forget()
        headers = {"Range": f"bytes={self.done}-"} if self.done else {}
        if self.done and self.tag:
            headers["If-Range"] = self.tag
        with self.connection.get(self.url, headers, self.token) as response:
            if not self._accept(response):
                return
            try:
                with self.part.open("ab") as file:
                    for chunk in response.iter_raw():
                        self._take(chunk, file)
            except httpx2.TransportError as error:
                raise _Again(f"the connection dropped ({str(error) or type(error).__name__})") from error
        if self.size is not None and self.done < self.size:
            raise _Again(f"the server ended after {self.done} of {self.size} bytes")
        self.size = self.done

    def _accept(self, response: httpx2.Response) -> bool:
        """Learn from the head of an answer what is coming, and agree on where it starts. False: nothing is missing."""
        _require_success(response, self.shown, self.done)
        start, total = _extent(response)
        if response.status_code == 416 and total == self.done:
            return False
        if None not in (self.expected, total) and total != self.expected:
            raise DownloadError(
                f"{self.shown} has {total} bytes where {self.expected} are expected; it is another file"
            )
        if start != self.done or (start and None not in (self.size, total) and total != self.size):
            self._forget()
            if start != 0:
                raise _Again("the server cannot continue there")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError(f"{self.shown} comes with Content-Encoding {response.headers['Content-Encoding']!r}")
        self.size = total if self.size is None else self.size
        require_room(self.part.parent, (self.size or 0) - self.done)
        self._remember(response)
        return True

    def _take(self, chunk: bytes, file: BinaryIO) -> None:
        if self.size is not None and self.done + len(chunk) > self.size:
            raise DownloadError(f"{self.shown} sends more than the {self.size} bytes it should have")
        if not self.magic.startswith((self.start + chunk)[: len(self.magic)]):
            raise DownloadError(
                f"{self.shown} is not a GGUF file: it begins with {chunk[:12]!r}, not with {self.magic!r}"
            )
        file.write(chunk)
        file.flush()  # what is told to be here is here, whenever the process is killed
        self._absorb(chunk)

    def _absorb(self, chunk: bytes) -> None:
        self.start = (self.start + chunk[: len(self.magic)])[: len(self.magic)]
        self.digest.update(chunk)
        self.done += len(chunk)
        self.progress.advance(self.done, self.size)

    def _finish(self) -> Checked:
        found = Checked(self.done, self.digest.hexdigest())
        if self.sha256 is not None and found.sha256 != self.sha256:
            raise _WrongContent(
                f"{self.shown} delivered something else: its sha256 is {found.sha256}, expected {self.sha256}; "
                "it was deleted"
            )
        if self.start != self.magic:
            raise _WrongContent(f"{self.shown} is not a GGUF file: it has {found.size} bytes")
        move(self.part, self.target)
        self.label.unlink(missing_ok=True)
        return found

    def _recall(self) -> bool:
        """Continue a part if it is certain to be of this content. Returns whether there is one."""
        known = _read_label(self.label)
        same_content = self.sha256 is not None and known.get("sha256") == self.sha256
        same_source = known.get("url") == self.shown and bool(known.get("tag"))
        here = self.part.stat().st_size if self.part.exists() else 0
        if not here or not (same_content or same_source) or (self.size is not None and here > self.size):
            self._forget()
            return False
        self.tag = known.get("tag", "") if same_source else ""
        with self.part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                self._absorb(chunk)
        self.progress.note(f"continuing at {size_text(self.done)}")
        return True

    def _remember(self, response: httpx2.Response) -> None:
        tag = response.headers.get("ETag", "")
        weak = not tag or tag.startswith("W/")  # a weak tag does not promise the same bytes
        self.tag = response.headers.get("Last-Modified", "") if weak else tag
        label = {"url": self.shown, "tag": self.tag, "sha256": self.sha256}
        write_whole(self.label, json.dumps(label).encode())

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.label.unlink(missing_ok=True)
        self._start_over()


class _WrongContent(DownloadError):
    pass


_ATTEMPTS_WITHOUT_A_BYTE = 2
_LATER = {408, 425, 429, 500, 502, 503, 504}
_EXTENT = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(?:(\d{1,18})|\*)")


def _require_success(response: httpx2.Response, shown: str, done: int) -> None:
    status = response.status_code
    if status == 200 or (status in (206, 416) and done):
        return
    if status in _LATER:
        wait = response.headers.get("Retry-After", "")
        raise _Again(f"the server says {status}", min(float(wait), 60.0) if wait.isascii() and wait.isdigit() else 0.0)
    if status in (401, 403):
        raise DownloadError(
            f"{shown} needs permission ({status}); accept the terms on its page if there are any, and set HF_TOKEN"
        )
    if status in (404, 410):
        raise DownloadError(f"{shown} does not exist ({status})")
    raise DownloadError(f"{shown} answers with status {status}")


def _extent(response: httpx2.Response) -> tuple[int | None, int | None]:
    """Where the body starts in the file, and how many bytes the whole file has, as the server states them."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isascii() and length.isdigit() and len(length) <= 18 else None
    match = _EXTENT.fullmatch(response.headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, None)
    return int(start) if start else None, int(total) if total else None


def _read_label(path: Path) -> Mapping[str, str]:
    try:
        label = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # not there, or damaged: then the part is not continued
        return {}
    return {k: v for k, v in label.items() if isinstance(v, str)} if isinstance(label, dict) else {}
