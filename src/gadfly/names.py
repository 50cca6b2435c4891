"""Two-way tables between the names of tensors in files and paths in the weight tree.

A row says which paths a file's tensor holds: one, or several whose rows lie end to end in it. `{layer}` stands for the
same number on both sides. `{expert}` is in file names only: each matrix of a stack is a tensor of its own; so is
`{rest}`, for whatever follows in tensors that are ignored. Import and export both derive from the table, so a name that
is not in it is an error in either direction.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Entry", "NameTable"]

NUMBER = r"0|[1-9][0-9]*"


@dataclass(frozen=True)
class Entry:
    """Which paths a tensor holds. `name` has no placeholder but `{expert}`, if there is a tensor for every expert."""

    paths: tuple[str, ...]
    name: str

    @property
    def per_expert(self) -> bool:
        return "{expert}" in self.name

    def names(self, experts: int) -> list[str]:
        """Of all its tensors, for a stack of so many."""
        return [self.name.format(expert=i) for i in range(experts)] if self.per_expert else [self.name]


Rows = Mapping[str, str] | Mapping[tuple[str, ...], str] | Mapping[str | tuple[str, ...], str]


class NameTable:
    """Rows are path -> name or (path, path …) -> name, where later ones replace earlier ones.

    `aliases` are other names under which files may hold a row's tensor: alias -> name. `alternatives` are rows that
    are read, but not written.
    """

    def __init__(
        self, *tables: Rows, aliases: Mapping[str, str] | None = None, alternatives: Rows | None = None
    ) -> None:
        self._rows = _rows({paths: name for table in tables for paths, name in table.items()})
        self._alternatives = _rows(alternatives or {})
        self._aliases = dict(aliases or {})

    # Patterns are compiled when they are first looked for: of some thirty tables, a model needs one or two.
    @cached_property
    def _by_path(self) -> list[tuple[re.Pattern[str], tuple[str, ...], str]]:
        return [(_pattern(path), paths, name) for paths, name in self._rows for path in paths]

    @cached_property
    def _by_name(self) -> list[tuple[re.Pattern[str], tuple[str, ...], str]]:
        rows = self._rows + self._alternatives
        names = [(name, name) for _, name in rows] + list(self._aliases.items())
        held = {name: paths for paths, name in rows}
        return [(_pattern(written), held[name], name) for written, name in names]

    def entry(self, path: str) -> Entry | None:
        """The tensor or tensors that hold a path, or None if the table does not know it."""
        return _find(self._by_path, path)

    def find(self, file_name: str) -> Entry | None:
        """What a file's tensor holds, or None if the table does not know it."""
        return _find(self._by_name, file_name)


def _rows(table: Rows) -> list[tuple[tuple[str, ...], str]]:
    return [((paths,) if isinstance(paths, str) else paths, name) for paths, name in table.items()]


def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.escape(text)
    for placeholder, text in (("layer", NUMBER), ("expert", NUMBER), ("rest", ".+")):
        pattern = pattern.replace(re.escape(f"{{{placeholder}}}"), f"(?P<{placeholder}>{text})", 1)
    return re.compile(pattern)


def _find(rows: list[tuple[re.Pattern[str], tuple[str, ...], str]], text: str) -> Entry | None:
    for pattern, paths, name in rows:
        if match := pattern.fullmatch(text):
            layer = match.groupdict().get("layer")
            filled = {"layer": layer, "expert": "{expert}", "rest": "{rest}"}
            return Entry(tuple(path.format(layer=layer) for path in paths), name.format(**filled))
    return None
