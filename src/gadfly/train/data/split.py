"""Dividing lines into what is learnt, what is watched meanwhile and what judges in the end: train, valid and test.

Which part a line is in follows from its content alone, so it stays there when others are added. Lines that begin with
the same question, or name the same group in their `meta`, are never divided: what is judged would have been learnt.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from gadfly.errors import RequestError
from gadfly.lines import Problem, line_of
from gadfly.train.data.check import MOST_KEPT, PARTS
from gadfly.train.data.likeness import prompt_digest
from gadfly.train.data.native import Native, read_native
from gadfly.weights.disk import new_file, replacing_folder

__all__ = ["Division", "divide"]


@dataclass
class Division:
    """Lines of each part by the name of its file, how many groups they are, and what could not be read."""

    lines: Counter[str] = field(default_factory=Counter)
    groups: int = 0
    problems: list[tuple[Path, Problem]] = field(default_factory=list)
    refused: int = 0

    def refuse(self, path: Path, problem: Problem) -> None:
        self.refused += 1
        if self.refused <= MOST_KEPT:
            self.problems.append((path, problem))


def divide(files: Sequence[Path], folder: Path, valid: float, test: float, group: str = "group") -> Division:
    """Write a new folder. `valid` and `test` are shares of the groups; `group` is a key of `meta`.

    A part that gets no line has no file. Raises RequestError for shares that leave nothing to learn.
    """
    if not (min(valid, test) >= 0 and valid + test < 1):
        raise RequestError(f"valid is {valid:g} and test {test:g}; both are from 0, and together less than 1")
    division, groups, size = Division(), _Groups(), 0
    for path in files:
        for found in read_native(path):
            if isinstance(found, Problem):
                division.refuse(path, found)
            else:
                groups.join(_keys(found[1], group))
                size += len(line_of(found[0].table))
    division.groups = groups.count
    with replacing_folder(folder.absolute(), size) as aside, ExitStack() as stack:
        parts: dict[str, BinaryIO] = {}
        for path in files:
            for found in read_native(path):
                if isinstance(found, Problem):
                    continue
                part = _part(groups.root(_keys(found[1], group)[0]), valid, test)
                if part not in parts:
                    parts[part] = stack.enter_context(new_file(aside / part))
                parts[part].write(line_of(found[0].table))
                division.lines[part] += 1
        stack.close()  # on disk before the folder has its name
    return division


class _Groups:
    """Keys that belong together, as a forest; the smallest of a group stands for it, in whatever order they came."""

    def __init__(self) -> None:
        self._parents: dict[bytes, bytes] = {}

    @property
    def count(self) -> int:
        return sum(key == parent for key, parent in self._parents.items())

    def join(self, keys: Sequence[bytes]) -> None:
        smallest = min(roots := [self.root(key) for key in keys])
        for root in roots:
            self._parents[root] = smallest

    def root(self, key: bytes) -> bytes:
        self._parents.setdefault(key, key)
        while (parent := self._parents[key]) != key:
            self._parents[key] = key = self._parents[parent]  # so that ways to the root stay short
        return key


def _keys(native: Native, group: str) -> list[bytes]:
    named = native.meta.get(group)
    if not isinstance(named, str | int):
        return [prompt_digest(native)]
    return [prompt_digest(native), blake2b(f"group {named}".encode(errors="replace"), digest_size=16).digest()]


def _part(root: bytes, valid: float, test: float) -> str:
    """Hashed once more, as the smallest of several keys is smaller than chance has it."""
    place = int.from_bytes(blake2b(root, digest_size=8).digest()) / 2**64
    train_part, valid_part, test_part = PARTS
    return test_part if place < test else valid_part if place < test + valid else train_part
