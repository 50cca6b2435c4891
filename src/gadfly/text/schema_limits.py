"""What a JSON schema may ask for: checked before a library is given it, which would take minutes or overflow its stack.

Depth, size and number of parts are counted, and how many patterns one text would have to match at once: their
intersection is what costs beyond measure. Everything else is limited while a grammar is built: `gadfly.text.grammar`.
"""

from collections.abc import Mapping
from typing import Any

from gadfly.errors import RequestError

__all__ = ["check_schema"]

DEEPEST = 64
MOST_PARTS = 4000  # objects and lists: each may take some kilobytes of stack
MOST_PATTERNS = 8  # in one intersection: twice as many take ten seconds
SOME_OF = ("anyOf", "oneOf", "prefixItems")
WITHIN = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


def check_schema(schema: object, name: str) -> None:
    """Raise RequestError, in which the schema is called `name`, if it is no schema or asks for too much."""
    if not isinstance(schema, Mapping | bool):
        raise RequestError(f"{name} is {schema!r:.40}; expected a JSON schema, which is an object")
    parts, depth, level = 0, 0, _inner([schema])
    while level:
        parts, depth = parts + len(level), depth + 1
        if parts > MOST_PARTS:
            raise RequestError(f"{name} has more than {MOST_PARTS} objects and lists in it; ask for something simpler")
        if depth > DEEPEST:
            raise RequestError(f"{name} nests more than {DEEPEST} deep; ask for something simpler")
        level = [inner for outer in level for inner in _inner(outer)]
    try:
        patterns = _Patterns(schema).in_one(schema)
    except RecursionError:
        raise RequestError(f"{name} has references that lead too deep; ask for something simpler") from None
    if patterns > MOST_PATTERNS:
        raise RequestError(f"{name} wants more than {MOST_PATTERNS} patterns and formats matched at once; use fewer")


class _Patterns:
    """How many patterns may have to be matched by one text, at most."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._known: dict[int, int] = {}

    def in_one(self, schema: object) -> int:
        if not isinstance(schema, Mapping):
            return 0
        if id(schema) not in self._known:
            self._known[id(schema)] = 0  # what refers to itself adds nothing
            self._known[id(schema)] = self._count(schema)
        return self._known[id(schema)]

    def _count(self, schema: Mapping[str, Any]) -> int:
        own = sum(key in schema for key in ("pattern", "format"))
        every = sum(self.in_one(one) for one in _list(schema.get("allOf")))
        some = max((self.in_one(one) for key in SOME_OF for one in _list(schema.get(key))), default=0)
        within = max((self.in_one(schema.get(key)) for key in WITHIN), default=0)
        named = max((self.in_one(one) for key in NAMED for one in _values(schema.get(key))), default=0)
        return own + every + some + max(within, named) + self.in_one(self._target(schema.get("$ref")))

    def _target(self, reference: object) -> object:
        """What a reference of the form #/a/b/c is to."""
        found = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        for step in reference.removeprefix("#").removeprefix("/").split("/"):
            if step:
                found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
        return found


def _inner(value: Any) -> list[Any]:
    """The objects and lists that are directly in a value."""
    inside = value.values() if isinstance(value, Mapping) else value
    return [one for one in inside if isinstance(one, Mapping | list | tuple)]


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _values(value: object) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else []
