"""What a model file is, seen from outside: how long, with which checksum, and whether it begins like GGUF."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gadfly.errors import ModelFileError
from gadfly.hub.progress import Progress

__all__ = ["MAGIC", "Checked", "check_file"]

MAGIC = b"GGUF"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Checked:
    """What a whole file was found to be: bytes and lower-case hex."""

    size: int
    sha256: str


def check_file(path: Path, progress: Progress) -> Checked:
    """Size and sha256 of a file, read once. Raises ModelFileError if it cannot be read or does not begin like GGUF."""
    digest, done = hashlib.sha256(), 0
    try:
        total = path.stat().st_size
        with path.open("rb") as file:
            if (start := file.read(len(MAGIC))) != MAGIC:
                raise ModelFileError(f"{path} is not a GGUF file: it begins with {start!r}, not with {MAGIC!r}")
            file.seek(0)
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress.advance(done, total)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}") from error
    return Checked(done, digest.hexdigest())
