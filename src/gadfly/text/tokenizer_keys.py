"""Typed access to the keys `tokenizer.ggml.*` of a GGUF file: what is there has the type that it should have.

What the values mean for each other is checked in `gadfly.text.vocabulary`. Source: the tokenizer section of ggml's GGUF
specification.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly.errors import ModelFileError

__all__ = ["TokenizerKeys"]

PREFIX = "tokenizer.ggml."
ABSENT = (2**32 - 1, -1)  # how converters write "there is no such token"


class TokenizerKeys:
    """Every method takes a key without the prefix, returns None if it is missing and raises ModelFileError if wrong."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def word(self, key: str) -> str | None:
        value = self._metadata.get(PREFIX + key)
        if value is not None and not isinstance(value, str):
            raise _wrong(key, value, "a string")
        return value

    def flag(self, key: str) -> bool | None:
        value = self._metadata.get(PREFIX + key)
        if value is not None and not isinstance(value, bool | np.bool_):
            raise _wrong(key, value, "true or false")
        return None if value is None else bool(value)

    def token_id(self, key: str, size: int) -> int | None:
        """The id of one of `size` tokens."""
        value = self._metadata.get(PREFIX + key)
        if value is None or (isinstance(value, int | np.integer) and value in ABSENT):
            return None
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < size:
            raise _wrong(key, value, f"a token id below {size}")
        return int(value)

    def strings(self, key: str) -> list[str] | None:
        value = self._metadata.get(PREFIX + key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(map(str.__instancecheck__, value)):
            raise _wrong(key, value, "an array of strings")
        return value

    def numbers(self, key: str, size: int, dtypes: str = "iuf") -> NDArray[Any] | None:
        """An array of `size` finite numbers, of one of these kinds of dtype."""
        value = self._metadata.get(PREFIX + key)
        if value is None:
            return None
        array = np.asarray(value)
        if array.ndim != 1 or array.dtype.kind not in dtypes:
            raise _wrong(key, value, "an array of numbers" if "f" in dtypes else "an array of integers")
        if len(array) != size:
            raise ModelFileError(f"{PREFIX}{key} has {len(array)} numbers for {size} tokens")
        if not np.isfinite(array).all():
            raise ModelFileError(f"{PREFIX}{key} holds numbers that are not finite")
        return array


def _wrong(key: str, value: object, expected: str) -> ModelFileError:
    shown = repr(value) if isinstance(value, bool | int | float | str) else f"of type {type(value).__name__}"
    return ModelFileError(f"{PREFIX}{key} is {shown[:80]}; expected {expected}")
