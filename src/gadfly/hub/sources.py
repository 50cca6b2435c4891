"""Where the files of a model can come from, as values. Who fetches them: `pull`, `download`, `wheel`, `hugging_face`.

No name in here, and none that a server sends, ever becomes a path on this machine: the library names its own files.
"""

import re
from dataclasses import dataclass

__all__ = ["Address", "HubFile", "Source", "Wanted", "Wheel"]


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on a hub that speaks the Hugging Face protocol."""

    repository: str  # owner/name
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{self.repository}:{self.file}"


@dataclass(frozen=True)
class Wheel:
    """A file inside a Python wheel, which the user's own pip knows how to get. `size` is the wheel's, in bytes."""

    package: str
    version: str
    member: str
    size: int

    def __str__(self) -> str:
        return f"the Python package {self.package} {self.version}"


@dataclass(frozen=True)
class Address:
    """An http or https address. Shown and remembered without what may be secret in it."""

    url: str

    def __str__(self) -> str:
        return re.sub(r"(?<=//)[^/]*@|[?#].*", "", self.url, flags=re.DOTALL)


Source = HubFile | Wheel | Address


@dataclass(frozen=True)
class Wanted:
    """One file of a model: what it has to be, as far as known (bytes; lower-case hex), and where to try, in order."""

    sources: tuple[Source, ...]
    size: int | None = None
    sha256: str | None = None
