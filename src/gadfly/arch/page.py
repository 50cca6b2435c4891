"""What a page of this folder has to say about an architecture, and how it reads a file's hyperparameters.

A page is the whole knowledge of one architecture. It turns what a file says into the values of `gadfly.spec` and into
weights laid out the one way the model runs them, and back; whoever opens and writes files (`gadfly.weights`) checks
shapes and leftovers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.arch.keys import GGUF_KEYS
from gadfly.errors import ModelFileError
from gadfly.names import NameTable
from gadfly.spec import ModelSpec
from gadfly.weight import Weight

__all__ = ["Config", "Dialect", "Page", "as_it_is"]

Arrange = Callable[[str, Weight, ModelSpec], Weight]


def as_it_is(path: str, weight: Weight, spec: ModelSpec) -> Weight:  # noqa: ARG001
    return weight


@dataclass(frozen=True)
class Dialect:
    """How one kind of file writes the models of a page.

    `arrange` brings a weight as the file has it to the runtime's layout, `restore` is the way back. Names that start
    with "spec." are tensors that belong to the spec, not to the weights; those under `ignored` mean nothing. `ties`
    says whether an output that is the embedding may be left out, which not every reader of such files understands.
    """

    names: NameTable
    arrange: Arrange = as_it_is
    restore: Arrange = as_it_is
    ignored: NameTable = field(default_factory=lambda: NameTable({}))
    ties: bool = True


@dataclass(frozen=True)
class Page:
    """`spec` reads hyperparameters, `describe` is the way back: both under the names of Hugging Face's config.json.

    Where pages share `gguf_name` (or `hf_name`), `claims` tells by the hyperparameters whose model it is.
    """

    name: str
    gguf_name: str  # general.architecture
    hf_name: str  # the class that config.json names under "architectures"
    model_type: str
    spec: Callable[["Config"], ModelSpec]
    describe: Callable[[ModelSpec], dict[str, Any]]
    gguf: Dialect
    hf: Dialect
    claims: Callable[["Config"], bool] = lambda _: True
    hf_also: tuple[str, ...] = ()  # classes that are read as this one, though never written
    notes: Callable[[ModelSpec], tuple[str, ...]] = lambda _: ()  # what whoever writes a GGUF file should know
    tensors: Callable[[ModelSpec], Mapping[str, NDArray[np.float32]]] = lambda _: {}  # "spec." ones, for GGUF files


@dataclass(frozen=True)
class Config:
    """A file's hyperparameters, under the names of config.json; `tensors` are small ones that belong to them.

    `gguf` is the prefix of a GGUF file's keys, and None for a config.json: it says which language `values` are in.
    """

    source: str  # names the file in errors
    values: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    gguf: str | None = None

    def integer(self, name: str, default: int | None = None, low: int = 1, high: int = 2**24) -> int:
        """Raises ModelFileError unless the value is an integer of [low, high]."""
        value = self._required(name, default)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise self.error(name, f"an integer from {low} to {high}")
        return int(value)

    def number(self, name: str, default: float | None = None, low: float = 0.0, high: float = 1e12) -> float:
        """Raises ModelFileError unless the value is a number of (low, high]."""
        value = self._required(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low < value <= high:
            raise self.error(name, f"a number above {low} and up to {high}")
        return float(value)

    def text(self, name: str, default: str) -> str:
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, "text")
        return default if value is None else value

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.error(name, "true or false")
        return default if value is None else value

    def get(self, name: str) -> Any:
        """Whatever the file says; None if it says nothing. Names without a counterpart in GGUF stay as they are."""
        return self.values.get(self.key(name))

    def has(self, name: str) -> bool:
        """Whether the file says more than null, false, zero or nothing."""
        value = self.get(name)
        return bool(value.size if isinstance(value, np.ndarray) else value)

    def within(self, name: str) -> "Config":
        """The object under a name of config.json; empty if there is none."""
        value = self.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise self.error(name, "an object")
        return Config(f"{self.source}: {name}", value or {})

    def key(self, name: str) -> str:
        """What the file calls it."""
        return name if self.gguf is None else f"{self.gguf}.{GGUF_KEYS.get(name, name)}"

    def error(self, name: str, expected: str) -> ModelFileError:
        value = self.get(name)
        short = value is None or (isinstance(value, str | int | float) and len(repr(value)) < 40)
        shown = repr(value) if short else f"a {type(value).__name__}"
        return ModelFileError(f"{self.source}: {self.key(name)} is {shown}; expected {expected}")

    def _required(self, name: str, default: float | None) -> Any:
        value = self.get(name)
        value = default if value is None else value
        if value is None:
            raise ModelFileError(f"{self.source}: the key {self.key(name)} is missing; the file is incomplete")
        return value
