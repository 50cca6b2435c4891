"""A tree out of whatever a file says about parents: no cycles, no gaps, parents before children.

Places where nothing is said are left out, and what was below them moves up; a parent that is not there makes a root.
"""

from collections.abc import Sequence
from dataclasses import replace

from gadfly.chat.imports.values import Said

__all__ = ["ordered", "shown_leaf"]


def ordered(said: Sequence[Said]) -> list[Said]:
    """Messages, each after its parent. Of those with the same key the first counts. A cycle is cut where it begins."""
    known: dict[str, Said] = {}
    for one in said:
        known.setdefault(one.key, one)
    above: dict[str, str | None] = {}  # the nearest place above, itself included, where something is said
    found: list[Said] = []
    for start in known:
        path: list[str] = []
        met: set[str] = set()
        key: str | None = start
        while key is not None and key in known and key not in above and key not in met:
            path.append(key)
            met.add(key)
            key = known[key].parent
        parent = above.get(key) if key is not None else None
        for one in (known[key] for key in reversed(path)):
            if one.message is not None:
                found.append(replace(one, parent=parent))
                parent = one.key
            above[one.key] = parent
    return found


def shown_leaf(said: Sequence[Said], kept: Sequence[Said], leaf: str | None) -> str | None:
    """The end of the path that was shown, or what is left of it; without any, the last message."""
    keys = {one.key for one in kept}
    parents = {one.key: one.parent for one in reversed(said)}
    met: set[str] = set()
    while leaf is not None and leaf not in keys and leaf not in met:
        met.add(leaf)
        leaf = parents.get(leaf)
    return leaf if leaf in keys else kept[-1].key if kept else None
