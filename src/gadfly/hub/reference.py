"""What a person may type for a model, and what is meant by it.

smollm2                                      a name: of the catalogue or of the library
owner/repository                             a repository on the hub; Gadfly chooses the file
owner/repository:Q4_K_M                      … the file of that quantisation
owner/repository:folder/file.gguf            … that file
https://example.org/model.gguf               a file anywhere; addresses of the hub mean the same as owner/…
./model.gguf                                 a file of your own
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gadfly.errors import NotFoundError
from gadfly.hub.sources import Address

__all__ = ["HubChoice", "Name", "OwnFile", "Reference", "parse_reference"]


@dataclass(frozen=True)
class Name:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class HubChoice:
    """A repository; `wanted` names a file or a quantisation, or is empty."""

    repository: str
    wanted: str = ""
    revision: str = "main"

    def __str__(self) -> str:
        return f"{self.repository}:{self.wanted}" if self.wanted else self.repository


@dataclass(frozen=True)
class OwnFile:
    path: Path

    def __str__(self) -> str:
        return str(self.path)


Reference = Name | HubChoice | Address | OwnFile

_REPOSITORY = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_CHOICE = re.compile(rf"(?:hf\.co/|huggingface\.co/)?({_REPOSITORY})(?::([^:]+))?", re.ASCII)
_HUBS = {"huggingface.co", "www.huggingface.co", "hf.co"}


def parse_reference(text: str, endpoint: str, trusted: bool = True) -> Reference:
    """`endpoint` is the address of the hub in use. Raises NotFoundError for what cannot be anything.

    Text that is not `trusted`, from somebody far away, names no file here and no address other than the hub's.
    """
    if re.match(r"https?://", text):
        found = _address(text, endpoint)
        if isinstance(found, Address) and not trusted:
            raise NotFoundError(f"{text!r:.200} is not on the hub; name a model or owner/repository[:file]")
        return found
    if not trusted:
        return _known_by_name(text)
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    if _is_file(path):
        return OwnFile(path)
    if text.startswith(("/", "./", "../", "~")) or (text.endswith(".gguf") and ":" not in text):
        raise NotFoundError(f"there is no file {text}; to fetch one, name a model, owner/repository or an address")
    return _known_by_name(text)


def _known_by_name(text: str) -> Reference:
    if match := _CHOICE.fullmatch(text):
        return HubChoice(match[1], match[2] or "")
    if re.fullmatch(r"[\w.-]+", text):
        return Name(text)
    raise NotFoundError(
        f"{text!r} is no model; name one (gadfly list --all), or owner/repository[:file], an https address, or a .gguf"
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, a byte that no path has
        return False


def _address(url: str, endpoint: str) -> Reference:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise NotFoundError(f"{url!r} is no address: {error}") from error
    if not parts.hostname:
        raise NotFoundError(f"{url!r} is no address: it names no host")
    if parts.hostname in _HUBS or url.startswith(f"{endpoint}/"):
        below = unquote(url.removeprefix(endpoint).removeprefix(f"{parts.scheme}://{parts.netloc}").split("?")[0])
        if match := re.fullmatch(
            rf"/({_REPOSITORY})(?:/(?:resolve|blob)/([^/]+)/(.+)|/tree/([^/]+)|/?)", below, re.ASCII
        ):
            return HubChoice(match[1], match[3] or "", match[2] or match[4] or "main")
    return Address(url)
