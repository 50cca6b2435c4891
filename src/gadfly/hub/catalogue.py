"""The models that have a name: the table in catalogue.toml, read strictly.

It is data and says nothing about what is on this machine; that is the library's business. `status` is a promise:
"runs" only where this Gadfly reads the file and runs it.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from gadfly.errors import SettingsError
from gadfly.hub.sources import Address, HubFile, Source, Wanted, Wheel

__all__ = ["DEFAULT", "NAME", "Catalogue", "Model", "Shape"]

T = TypeVar("T")

DEFAULT = "smollm2"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")  # of a model; also the name of its folder


@dataclass(frozen=True)
class Shape:
    """The sizes of a transformer whose layers are alike. `hidden` is an expert's where there are experts."""

    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab: int
    tied: bool  # embedding and output are one
    experts: int = 0
    selected: int = 0  # experts that a token goes to
    dense_hidden: int = 0  # of a dense branch beside the experts


@dataclass(frozen=True)
class Model:
    """What is known of a model. `memory` is the bytes it wants in use, `languages` are BCP 47 primary tags."""

    name: str
    description: str
    family: str
    architecture: str
    parameters: int
    languages: tuple[str, ...]
    licence: str  # SPDX where there is an identifier
    free: bool  # anyone may use, change and pass it on
    context: int  # tokens
    template: Literal["chat", "base"]
    memory: int
    page: str
    status: Literal["runs", "planned"]
    note: str  # why it has that status
    format: str  # of most weights in its files or, without files, in what its makers publish
    shape: Shape
    files: tuple[Wanted, ...] = ()
    weights: str | None = None  # the repository of what its makers publish, for `gadfly pull --as`
    tokenizer: Wanted | None = None  # for that, where the repository has none

    @property
    def size(self) -> int | None:
        """Bytes of all files, or None if not known (or there are none to fetch yet)."""
        sizes = [file.size for file in self.files]
        return None if not sizes or None in sizes else sum(size for size in sizes if size is not None)


class Catalogue(Mapping[str, Model]):
    """Models by name, in the order of the file."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    @classmethod
    def load(cls) -> "Catalogue":
        """The catalogue that comes with Gadfly."""
        return cls.parse(Path(__file__).with_name("catalogue.toml").read_text("utf-8"), "catalogue.toml")

    @classmethod
    def parse(cls, text: str, where: str) -> "Catalogue":
        """Raises SettingsError naming `where`, the key and what is expected there."""
        try:
            tables = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"{where} cannot be read as TOML: {error}") from error
        return cls({name: _model(name, table, f"{where}: {name}") for name, table in tables.items()})

    def __getitem__(self, name: str) -> Model:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


_Check = Callable[[object], bool]
_KEYS: Mapping[str, tuple[str, _Check]] = {
    "description": ("a line of text", lambda v: _is_line(v)),
    "family": ("a line of text", lambda v: _is_line(v)),
    "architecture": ("a line of text", lambda v: _is_line(v)),
    "parameters": ("a count", lambda v: _is_count(v)),
    "languages": ("a list of language tags", lambda v: isinstance(v, list) and bool(v) and all(map(_is_line, v))),
    "licence": ("a line of text", lambda v: _is_line(v)),
    "free": ("true or false", lambda v: isinstance(v, bool)),
    "context": ("a number of tokens", lambda v: _is_count(v)),
    "template": ('"chat" or "base"', lambda v: v in ("chat", "base")),
    "memory": ("a number of bytes", lambda v: _is_count(v)),
    "page": ("an https address", lambda v: _is_line(v) and str(v).startswith("https://")),
    "status": ('"runs" or "planned"', lambda v: v in ("runs", "planned")),
    "note": ("a line of text", lambda v: _is_line(v)),
    "format": ("a line of text", lambda v: _is_line(v)),
    "shape": ("a table of sizes", lambda v: isinstance(v, dict)),
}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _is_line(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _model(name: str, table: object, where: str) -> Model:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where} is no name for a model; expected lower-case letters, digits and . _ -")
    values = dict(_table(table, where, {*_KEYS, "files", "weights", "tokenizer"}))
    for key, (expected, accepts) in _KEYS.items():
        if key not in values or not accepts(values[key]):
            raise SettingsError(f"{where}.{key} is {values.get(key)!r}; expected {expected}")
    wanted = tuple(_each(values.pop("files", []), f"{where}.files", _wanted))
    weights = values.get("weights")
    if weights is not None and not _matches(_REPOSITORY, weights):
        raise SettingsError(f"{where}.weights is {weights!r}; expected a repository, owner/name")
    if values["status"] == "runs" and not wanted and weights is None:
        raise SettingsError(f"{where}.files is missing; a model that runs has at least one, or weights")
    if "tokenizer" in values:
        values["tokenizer"] = _wanted(values["tokenizer"], f"{where}.tokenizer")
    shape = _shape(values["shape"], f"{where}.shape")
    return Model(name, **{**values, "languages": tuple(values["languages"]), "shape": shape}, files=wanted)


def _shape(table: object, where: str) -> Shape:
    values = _table(table, where, {field.name for field in fields(Shape)})
    for field in fields(Shape):
        value = values.get(field.name, field.default)
        if field.type is bool and not isinstance(value, bool):
            raise SettingsError(f"{where}.{field.name} is {values.get(field.name)!r}; expected true or false")
        if field.type is int and not _is_count(value) and value is not field.default:
            raise SettingsError(f"{where}.{field.name} is {values.get(field.name)!r}; expected a count")
        if value is MISSING:
            raise SettingsError(f"{where}.{field.name} is missing; expected a count")
    if values.get("selected", 0) > values.get("experts", 0):
        raise SettingsError(f"{where}.selected is {values['selected']}; there are {values.get('experts', 0)} experts")
    return Shape(**values)


def _wanted(table: object, where: str) -> Wanted:
    values = _table(table, where, {"size", "sha256", "sources"})
    sources = tuple(_each(values.get("sources"), f"{where}.sources", _source))
    if not sources:
        raise SettingsError(f"{where}.sources is empty; expected at least one source")
    if "size" in values and not _is_count(values["size"]):
        raise SettingsError(f"{where}.size is {values['size']!r}; expected a number of bytes")
    if "sha256" in values and not _matches(_SHA256, values["sha256"]):
        raise SettingsError(f"{where}.sha256 is {values['sha256']!r}; expected 64 lower-case hexadecimal digits")
    return Wanted(sources, values.get("size"), values.get("sha256"))


def _source(table: object, where: str) -> Source:
    values = _table(table, where, {"repository", "revision", "file", "package", "version", "member", "size", "url"})
    line = partial(_lines, values)
    if line("repository", "file") and _matches(_REPOSITORY, values["repository"]):
        if values.keys() == {"repository", "file"} or (len(values) == 3 and line("revision")):
            return HubFile(**values)
    elif values.keys() == {"package", "version", "member", "size"}:
        if line("package", "version", "member") and _is_count(values["size"]):
            return Wheel(**values)
    elif values.keys() == {"url"} and line("url") and values["url"].startswith("https://"):
        return Address(**values)
    raise SettingsError(
        f"{where} is {dict(values)!r}; expected repository (owner/name), file and perhaps revision; "
        "or package, version, member and size; or an https url"
    )


def _lines(values: Mapping[str, Any], *keys: str) -> bool:
    return all(_is_line(values.get(key)) for key in keys)


def _table(value: object, where: str, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{where} is {value!r}; expected a table")
    if unknown := value.keys() - keys:
        raise SettingsError(f"{where}.{min(unknown)} is not a key; expected some of {', '.join(sorted(keys))}")
    return value


def _each(value: object, where: str, read: Callable[[object, str], T]) -> Iterator[T]:
    if not isinstance(value, list):
        raise SettingsError(f"{where} is {value!r}; expected a list")
    return (read(item, f"{where}[{index}]") for index, item in enumerate(value))
