"""A recipe: what to make of which model, from what. A TOML file whose every key is also `--set key=value`.

base = "smollm2"                     a model that is here, or a path
data = "chats.jsonl"                 or a folder with train.jsonl and valid.jsonl; beside the recipe
out = "my-gadfly"                    the folder that the adapter is written to
longest = 1024                       tokens of a conversation; what is longer is cut

[lora]                               see LoraConfig
rank = 16

[plan]                               see Plan
epochs = 3
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.train.lora import LoraConfig
from gadfly.train.training import Plan

__all__ = ["Recipe", "read_recipe"]

LARGEST = 1_000_000  # bytes


@dataclass(frozen=True)
class Recipe:
    """See the module. `place` is the folder that paths are relative to."""

    base: str = "smollm2"
    data: str = "train.jsonl"
    out: str = "adapter"
    longest: int = 1024
    lora: LoraConfig = field(default_factory=LoraConfig)
    plan: Plan = field(default_factory=Plan)
    place: Path = field(default_factory=Path.cwd)

    @property
    def folder(self) -> Path:
        return self.place / self.out

    @property
    def train_file(self) -> Path:
        path = self.place / self.data
        return path / "train.jsonl" if path.is_dir() else path

    @property
    def valid_file(self) -> Path | None:
        path = self.place / self.data / "valid.jsonl"
        return path if path.exists() else None


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """`changes` are texts like "plan.epochs=2", which win. Raises NotFoundError, or SettingsError naming the key."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST)
        table = tomllib.loads(data.decode())
    except FileNotFoundError:
        raise NotFoundError(f"there is no recipe {path}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}; correct it") from error
    recipe: Recipe = _filled(Recipe(place=path.absolute().parent), table, str(path))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change!r} has no value; write it as --set plan.epochs=2")
        recipe = _filled(recipe, _nested(key.strip().split("."), _value(value.strip())), f"--set {key}")
    return recipe


def _filled(values: Any, table: Mapping[str, Any], place: str) -> Any:
    """A dataclass with some of its fields replaced."""
    known = [one.name for one in fields(values) if one.name != "place"]
    new: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise SettingsError(f"{place}: {key!r:.60} is no key of a recipe; {hint}")
        present = getattr(values, key)
        if is_dataclass(present):
            if not isinstance(value, dict):
                raise SettingsError(f"{place}: {key} is {value!r:.60}; expected a table")
            new[key] = _filled(present, value, f"{place}: {key}")
        else:
            new[key] = _checked(present, value, f"{place}: {key}")
    try:
        return replace(values, **new)
    except RequestError as error:
        raise SettingsError(f"{place}: {error}") from error


def _checked(present: Any, value: Any, place: str) -> Any:
    if isinstance(present, str):
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise SettingsError(f"{place} is {value!r:.60}; expected a text")
        return value
    whole = isinstance(present, int) or present is None
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise SettingsError(f"{place} is {value!r:.60}; expected a {'whole ' if whole else ''}number")
    return value if whole else float(value)


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if len(keys) > 1 else value}


def _value(text: str) -> Any:
    """As TOML has it; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
