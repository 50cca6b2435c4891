"""An MCP server as a program of our own: JSON-RPC, a message a line, on its stdin and stdout.

It gets little of our environment, so none of our secrets, and a process group of its own, which ends as a whole. If we
are killed, a guard that waits for the end of a pipe kills the group. Its output is read only while somebody waits for
an answer: whoever floods an idle pipe comes to a halt by itself.
Source: Model Context Protocol, "Transports", stdio.
"""

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from gadfly.chat.tools.json_rpc import MESSAGE_LIMIT, answers, notification, parsed, reply
from gadfly.chat.tools.patience import GLANCE, Patience
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.untrusted import harmless
from gadfly.errors import ToolError

__all__ = ["Process", "environment"]

_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")  # and LC_*
_GRACE = 1.0  # seconds to leave by itself, and again to obey SIGTERM
_NOISE = 2 * MESSAGE_LIMIT  # bytes that may come before an answer
_TAIL = 4000  # bytes of stderr that are kept
_GUARD = 'read -r _; kill -s KILL -- "-$1"'  # read ends when the last holder of the other end is gone
_CHUNK = 1 << 16


def environment(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What a server sees of our environment, and what it was given."""
    kept = {key: value for key, value in own.items() if key in _KEPT or key.startswith("LC_")}
    return {**kept, **given}


class Process:
    """Starts the command of `server`. One request at a time; others wait. Raises ToolError if it cannot be started."""

    def __init__(self, server: ToolServer, own: Mapping[str, str] = os.environ) -> None:
        self.name = server.name
        self._lock = threading.RLock()
        self._out = bytearray()  # what has to be written
        self._in = bytearray()  # what has been read and is no whole line yet
        self._said = b""  # the end of stderr
        try:
            self._process = subprocess.Popen(
                server.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=Path(server.folder or "~").expanduser(),
                env=environment(own, server.env),
                start_new_session=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ToolError(f"{self.name} cannot be started: {reason}: {server.command[0]!r:.200}") from error
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "gadfly-guard", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr and self._guard.stdin
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._streams = (self._stdin, self._stdout, self._process.stderr, self._guard.stdin)
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._exited()

    def request(self, message: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        """The response. Raises ToolError if there is none: in time, in bounds, or at all."""
        patience.check(self.name)
        patience.hold(self._lock, self.name)
        try:
            self._put(message)
            return self._response(message["id"], patience)
        except ToolError:
            self._put(notification("notifications/cancelled", {"requestId": message["id"]}))
            self._flush()
            if self._out:  # it does not listen either
                self.close()
            raise
        finally:
            self._lock.release()

    def notify(self, message: Mapping[str, Any], patience: Patience) -> None:
        """Say something that has no answer."""
        patience.hold(self._lock, self.name)
        try:
            self._put(message)
            self._flush()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Stop it and all that it has started: by closing its stdin, by SIGTERM, by SIGKILL."""
        if not self._lock.acquire(blocking=False):
            self._kill(signal.SIGKILL)  # so whoever waits for an answer learns that there will be none
            self._lock.acquire()
        try:
            if self._process.returncode is None:
                self._end()
        finally:
            self._lock.release()

    def _end(self) -> None:
        with suppress(OSError):
            self._stdin.close()
        if not self._ended(_GRACE):
            self._kill(signal.SIGTERM)
            self._ended(_GRACE)
        self._kill(signal.SIGKILL)  # what it has left behind, too: until we wait, the group's number is taken
        self._process.wait()
        self._guard.kill()
        self._guard.wait()
        self._listener.join(_GRACE)
        for stream in self._streams:
            with suppress(OSError):
                stream.close()

    def _put(self, message: Mapping[str, Any]) -> None:
        self._out += json.dumps(message).encode() + b"\n"

    def _flush(self) -> None:
        with suppress(OSError, ValueError):  # the pipe is full, or gone
            while self._out:
                del self._out[: os.write(self._stdin.fileno(), self._out[:_CHUNK])]

    def _response(self, number: int, patience: Patience) -> Mapping[str, Any]:
        heard = 0
        while True:
            self._flush()
            data = self._read(min(GLANCE, patience.left))
            if data == b"":
                raise self._gone()
            if data is not None and (found := self._found(data, number)) is not None:
                return found
            patience.check(self.name)
            heard += len(data or b"")
            if heard > _NOISE or len(self._in) > MESSAGE_LIMIT:
                self.close()
                raise ToolError(f"{self.name} was stopped: it sent more than {MESSAGE_LIMIT} bytes and no answer")

    def _read(self, seconds: float) -> bytes | None:
        """Bytes that come within so many seconds, b"" at the end; None if there are none, or one can write."""
        try:
            poll = select.poll()
            poll.register(self._stdout, select.POLLIN)
            if self._out:
                poll.register(self._stdin, select.POLLOUT)
            poll.poll(seconds * 1000)
            return os.read(self._stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return None
        except ValueError:  # closed by another thread
            return b""

    def _found(self, data: bytes, number: int) -> Mapping[str, Any] | None:
        """The response, if it is among the lines that are whole now; what is no message is passed over."""
        self._in += data
        if b"\n" not in data:
            return None
        *lines, self._in = self._in.split(b"\n")
        found = None
        for line in lines:
            message = parsed(bytes(line))
            if message is None:
                continue
            if answers(message, number):
                found = message
            elif (answer := reply(message)) is not None:
                self._put(answer)
        return found

    def _gone(self) -> ToolError:
        self.close()
        code = self._process.returncode
        how = f"ended with exit code {code}" if code >= 0 else f"was killed by signal {-code}"
        said = harmless(self._said.decode(errors="replace")).strip()
        return ToolError(f"{self.name} {how} before it answered" + (f"; it said: {said[-1500:]}" if said else ""))

    def _exited(self) -> bool:
        """Whether it has ended. Its number stays taken until `close` has killed the rest of its group."""
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _ended(self, seconds: float) -> bool:
        end = monotonic() + seconds
        while not self._exited():
            if monotonic() >= end:
                return False
            sleep(0.01)
        return True

    def _kill(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _listen(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):  # closed while we listen
            while data := os.read(stream.fileno(), _CHUNK):
                self._said = (self._said + data)[-_TAIL:]
