"""Two-way tables between the names of tensors in files and paths in the weight tree.

A table maps path patterns to file patterns; `{layer}` stands for the same number on both sides. Import and export
both derive from it, so a name that is not in the table is an error in either direction.
"""

import re
from collections.abc import Mapping

__all__ = ["NameTable"]


class NameTable:
    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._to_file = [_rule(path, name) for path, name in patterns.items()]
        self._to_path = [_rule(name, path) for path, name in patterns.items()]

    def path(self, file_name: str) -> str | None:
        """The path of a file's tensor, or None if the table does not know it."""
        return _apply(self._to_path, file_name)

    def file_name(self, path: str) -> str | None:
        """The file's name for a path, or None if the table does not know it."""
        return _apply(self._to_file, path)


def _rule(source: str, target: str) -> tuple[re.Pattern[str], str]:
    pattern = re.escape(source).replace(re.escape("{layer}"), r"(?P<layer>0|[1-9][0-9]*)")
    return re.compile(pattern), target


def _apply(rules: list[tuple[re.Pattern[str], str]], name: str) -> str | None:
    for pattern, target in rules:
        if match := pattern.fullmatch(name):
            return target.format(**match.groupdict())
    return None
