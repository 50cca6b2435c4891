"""What a page of this folder has to say about an architecture, and how it reads a file's hyperparameters.

A page is the whole knowledge of one architecture. It turns what a file says into the values of `gadfly.spec` and into
weights laid out the one way the model runs them; whoever opens files (`gadfly.weights`) checks shapes and leftovers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError
from gadfly.names import NameTable
from gadfly.spec import ModelSpec
from gadfly.weight import Weight

__all__ = ["Config", "Page"]


@dataclass(frozen=True)
class Page:
    """`names` maps weight paths to GGUF tensors, `arrange` brings one to the runtime's layout, `spec` reads a config.

    Names that start with "spec." are tensors that belong to the spec, not to the weights; `spec` gets them by name.
    """

    names: NameTable
    spec: Callable[["Config"], ModelSpec]
    arrange: Callable[[str, Weight, ModelSpec], Weight]


@dataclass(frozen=True)
class Config:
    """Hyperparameters of a GGUF file: `metadata` under the keys `prefix`.…, and small tensors that belong to them."""

    source: str  # names the file in errors
    prefix: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.float32]]

    def integer(self, key: str, default: int | None = None, low: int = 1, high: int = 2**24) -> int:
        """Raises ModelFileError unless the value is an integer of [low, high]."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
            raise self._error(key, value, f"an integer from {low} to {high}")
        return int(value)

    def number(self, key: str, default: float | None = None, low: float = 0.0, high: float = 1e12) -> float:
        """Raises ModelFileError unless the value is a number of (low, high]."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low < value <= high:
            raise self._error(key, value, f"a number above {low} and up to {high}")
        return float(value)

    def text(self, key: str, default: str) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._error(key, value, "text")
        return value

    def _get(self, key: str, default: Any) -> Any:
        value = self.metadata.get(f"{self.prefix}.{key}", default)
        if value is None:
            raise ModelFileError(f"{self.source}: the key {self.prefix}.{key} is missing; the file is incomplete")
        return value

    def _error(self, key: str, value: Any, expected: str) -> ModelFileError:
        shown = repr(value) if len(repr(value)) < 40 else f"a {type(value).__name__}"
        return ModelFileError(f"{self.source}: {self.prefix}.{key} is {shown}; expected {expected}")
