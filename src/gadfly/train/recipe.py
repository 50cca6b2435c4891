"""A recipe: what to make of which model, from what. A TOML file whose every key is also `--set key=value`.

base = "smollm2"                     a model that is here, or a path; "new" is one from scratch
method = "sft"                       learn conversations; or "distil", "text", "dpo", "kto": see `material`
data = "chats.jsonl"                 or a folder with train.jsonl and valid.jsonl; beside the recipe
out = "my-gadfly"                    the folder that the adapter, or the model, is written to
longest = 1024                       tokens that are read at once; what is longer is cut
full = false                         learn all weights instead of an adapter
questions = ["Who are you?"]         that it is asked as it learns; [] for none: see `trial`

[lora]                               see LoraConfig
rank = 16

[plan]                               see Plan; what is left out depends on the method
epochs = 3

[preference]                         see PreferenceConfig: for dpo and kto
beta = 0.1

[hold]                               see HoldConfig: what an adapter is not to change
questions = "plain"                  or data = "answers.jsonl"

[new]                                see NewConfig: for a model from scratch
budget = "20 min"
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gadfly.errors import NotFoundError, RequestError, SettingsError
from gadfly.train.data.texts import text_files
from gadfly.train.hold import HoldConfig
from gadfly.train.lora import LoraConfig
from gadfly.train.material import METHODS
from gadfly.train.new import NewConfig
from gadfly.train.plan import Plan
from gadfly.train.preferred import PreferenceConfig
from gadfly.train.trial import QUESTIONS

__all__ = ["NEW", "Recipe", "read_recipe"]

LARGEST = 1_000_000  # bytes
MOST_QUESTIONS = 10
NEW = "new"
TRAIN, VALID = "train.jsonl", "valid.jsonl"


@dataclass(frozen=True)
class Recipe:
    """See the module. `place` is the folder that paths are relative to."""

    base: str = "smollm2"
    method: str = "sft"
    data: str = "train.jsonl"
    out: str = "adapter"
    longest: int = 1024
    full: bool = False
    questions: tuple[str, ...] = QUESTIONS
    lora: LoraConfig = field(default_factory=LoraConfig)
    plan: Plan = field(default_factory=Plan)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    hold: HoldConfig = field(default_factory=HoldConfig)
    new: NewConfig = field(default_factory=NewConfig)
    place: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RequestError(f"method is {self.method!r:.40}; there are {', '.join(METHODS)}")
        if self.longest < 8:
            raise RequestError(f"longest is {self.longest}; at least 8 tokens have to be read at once")
        if len(self.questions) > MOST_QUESTIONS:
            raise RequestError(f"there are {len(self.questions)} questions; at most {MOST_QUESTIONS} are asked")

    @property
    def makes_model(self) -> bool:
        """Not an adapter."""
        return self.full or self.base == NEW

    @property
    def folder(self) -> Path:
        return self.place / self.out

    @property
    def train_files(self) -> list[Path]:
        path = self.place / self.data
        if not path.is_dir() or (path / TRAIN).exists():
            return [path / TRAIN if path.is_dir() else path]
        return text_files(path) if self.method == "text" else [path / TRAIN]

    @property
    def valid_files(self) -> list[Path]:
        path = self.place / self.data
        if (path / TRAIN).exists() or self.method != "text":
            return [path / VALID] if (path / VALID).exists() else []
        return text_files(path, judged=True)


def _usual(recipe: Recipe) -> Plan:
    """Plans that suit most: a tenth and less of the rate where all weights are learnt, little more than a nudge where
    a finished model is to prefer one thing to another."""
    if recipe.base == NEW:
        return Plan(learning_rate=3e-3, weight_decay=0.1)
    rate = {"sft": 1e-3, "distil": 1e-3, "text": 5e-4, "dpo": 2e-4, "kto": 2e-4}[recipe.method]
    return Plan(learning_rate=rate / 20 if recipe.full else rate)


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
    tables = [(str(path), table)]
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise SettingsError(f"--set {change!r} has no value; write it as --set plan.epochs=2")
        tables.append((f"--set {key}", _nested(key.strip().split("."), _value(value.strip()))))
    empty = Recipe(place=path.absolute().parent)
    recipe = _written(replace(empty, plan=_usual(_written(empty, tables))), tables)
    if not recipe.hold.data and not recipe.hold.questions and recipe.hold != HoldConfig():
        raise SettingsError(
            f'{path}: hold says nothing to hold to; say hold.questions = "plain", or name a file of conversations as '
            "hold.data"
        )
    if recipe.hold.data and recipe.hold.questions:
        raise SettingsError(f"{path}: hold has data and questions; leave out one of them")
    against = "hold" if recipe.hold.wanted else recipe.method if recipe.method in ("dpo", "kto") else None
    if recipe.makes_model and against:
        raise SettingsError(
            f"{path}: {against} holds a model against what it was, so it learns an adapter; leave out full, and "
            "take a base that has learnt to answer"
        )
    if recipe.makes_model and recipe.plan.precision != "float32":
        raise SettingsError(
            f"{path}: precision is {recipe.plan.precision}, in which small steps of whole weights are "
            "lost; leave it out, or learn an adapter"
        )
    return recipe


def _written(recipe: Recipe, tables: Sequence[tuple[str, Mapping[str, Any]]]) -> Recipe:
    for place, table in tables:
        recipe = _filled(recipe, table, place)
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
    if isinstance(present, tuple):
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise SettingsError(f"{place} is {value!r:.60}; expected a list of texts")
        return tuple(value)
    if isinstance(present, bool):
        if not isinstance(value, bool):
            raise SettingsError(f"{place} is {value!r:.60}; expected true or false")
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
