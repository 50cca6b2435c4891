"""The protocol of the Hugging Face hub: which files a repository has, and where each one lies.

    GET /api/models/OWNER/NAME/revision/REVISION?blobs=true    files with sizes and sha256, the licence
    GET /OWNER/NAME/resolve/REVISION/FILE                      a file

A mirror is used by setting HF_ENDPOINT, a token by HF_TOKEN. Lists are hostile input like everything a server sends.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, urlsplit

import httpx2

from gadfly.errors import DownloadError, NotFoundError, SettingsError
from gadfly.hub.connection import Connection
from gadfly.hub.progress import size_text
from gadfly.hub.sources import HubFile

__all__ = ["HubEntry", "HuggingFace", "Listing", "choose"]

_LIST_LIMIT = 16_000_000  # bytes
_LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "cc0-1.0": "CC0-1.0"}
_LICENCES |= {"cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0"}


@dataclass(frozen=True)
class HubEntry:
    """A file as the hub lists it. `sha256` is known for files in large-file storage."""

    file: str
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit: the GGUF ones, and all others."""

    repository: str
    revision: str
    licence: str | None
    entries: tuple[HubEntry, ...]
    others: tuple[HubEntry, ...] = ()


@dataclass(frozen=True)
class HuggingFace:
    endpoint: str = "https://huggingface.co"
    token: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingsError; a token is never part of a message."""
        endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or cls.endpoint
        if not re.match(r"https?://[^/\s]", endpoint) or not urlsplit(endpoint).hostname:
            raise SettingsError(f"HF_ENDPOINT is {endpoint!r}; expected an address such as {cls.endpoint}")
        token = environ.get("HF_TOKEN", "").strip()
        if not re.fullmatch(r"[!-~]*", token):
            raise SettingsError("HF_TOKEN has spaces or unusual characters in it; expected a token such as hf_…")
        return cls(endpoint, token or None)

    def address(self, source: HubFile) -> str:
        return f"{self.endpoint}/{source.repository}/resolve/{quote(source.revision, safe='')}/{quote(source.file)}"

    def listing(self, repository: str, revision: str, connection: Connection) -> Listing:
        """Raises NotFoundError if there is no such repository, DownloadError if the hub does not say."""
        url = f"{self.endpoint}/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
        with connection.get(url, token=self.token) as response:
            if response.status_code in (401, 403, 404):  # the hub says 401 for what does not exist, too
                raise NotFoundError(
                    f"{self.endpoint} has no repository {repository} at {revision} that you may see "
                    f"({response.status_code}); check the name, or set HF_TOKEN if it is private"
                )
            if response.status_code != 200:
                raise DownloadError(f"{self.endpoint} answers with status {response.status_code} for {repository}")
            body = bytearray()
            try:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _LIST_LIMIT:
                        raise DownloadError(
                            f"{self.endpoint} lists more than {size_text(_LIST_LIMIT)} for {repository}"
                        )
            except httpx2.TransportError as error:
                raise DownloadError(f"{self.endpoint}: the connection dropped ({error}); try again") from error
        try:
            return _listing(repository, revision, json.loads(body))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DownloadError(
                f"{self.endpoint} lists {repository} in a way that makes no sense: {error!r}"
            ) from error


def choose(listing: Listing, wanted: str) -> tuple[HubEntry, ...]:
    """The file meant by `wanted` (a file name, a quantisation, or nothing), all parts if it is split.

    Raises NotFoundError listing what there is if nothing fits or several do.
    """
    models = _models(listing)
    if not models:
        raise NotFoundError(f"{listing.repository} has no GGUF file; look for a repository whose name ends in -GGUF")
    if wanted:
        fitting = [name for name in models if _fits(name, wanted)]
    else:
        by_tag = [[name for name in models if _quantisation(name) == tag] for tag in _PREFERRED]
        fitting = list(models) if len(models) == 1 else next((names for names in by_tag if names), [])
    if len(fitting) == 1:
        return models[fitting[0]]
    names = sorted(fitting or models)
    listed = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    meant = f"no GGUF file called {wanted!r}" if wanted and not fitting else "several GGUF files"
    raise NotFoundError(f"{listing.repository} has {meant}; name one: gadfly pull {listing.repository}:FILE ({listed})")


_PREFERRED = ("Q4_K_M", "Q4_0", "Q4_1", "Q4_K_S", "Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "F16", "BF16")
_TAG = re.compile(r"(?<![A-Z0-9])(I?Q\d(?:_[A-Z0-9]+)*|BF16|F16|F32)(?![A-Z0-9])", re.IGNORECASE)
_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_NO_MODEL = re.compile(r"(?:^|/)(?:mmproj|[^/]*imatrix)[^/]*$", re.IGNORECASE)


def _models(listing: Listing) -> dict[str, tuple[HubEntry, ...]]:
    """Models by file name; the name of a split one is that of its first part."""
    models: dict[str, tuple[HubEntry, ...]] = {}
    split: dict[tuple[str, str], dict[int, HubEntry]] = {}
    for entry in listing.entries:
        if match := _PART.fullmatch(entry.file):
            split.setdefault((match[1], match[3]), {})[int(match[2])] = entry
        elif not _NO_MODEL.search(entry.file):
            models[entry.file] = (entry,)
    for (_, count), parts in split.items():
        if set(parts) == set(range(1, len(parts) + 1)) and len(parts) == int(count):
            models[parts[1].file] = tuple(parts[part] for part in sorted(parts))
    return models


def _fits(name: str, wanted: str) -> bool:
    file, asked = name.rpartition("/")[2].lower(), wanted.lower()
    return name == wanted or asked in (file, file.removesuffix(".gguf")) or asked == (_quantisation(name) or "").lower()


def _quantisation(name: str) -> str | None:
    stem = name.rpartition("/")[2].removesuffix(".gguf")
    found = _TAG.findall(stem)
    return found[-1].upper() if found else None


def _listing(repository: str, revision: str, data: object) -> Listing:
    if not isinstance(data, dict) or not isinstance(siblings := data["siblings"], list):
        raise ValueError("it is no list of files")
    found = [_entry(item) for item in siblings]
    models = tuple(entry for entry in found if entry.file.lower().endswith(".gguf"))
    others = tuple(entry for entry in found if entry not in models)
    return Listing(repository, _commit(data) or revision, _licence(data), models, others)


def _commit(data: Mapping[str, object]) -> str | None:
    commit = data.get("sha")
    return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{40}", commit) else None


def _entry(item: Mapping[str, object]) -> HubEntry:
    file, size, large = item["rfilename"], item.get("size"), item.get("lfs")
    sha256 = large.get("sha256") if isinstance(large, dict) else None
    if not isinstance(file, str) or not file.isprintable():
        raise ValueError(f"a file is called {file!r}")
    return HubEntry(
        file,
        size if isinstance(size, int) and size > 0 else None,
        sha256 if isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256) else None,
    )


def _licence(data: Mapping[str, object]) -> str | None:
    tags = data.get("tags")
    for tag in tags if isinstance(tags, Sequence) else ():
        if isinstance(tag, str) and tag.startswith("license:") and tag.isprintable():
            name = tag.removeprefix("license:")
            return _LICENCES.get(name, name)
    return None
