"""Lists as OpenAI's client turns their pages: so many, after the one with a certain id."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from gadfly.errors import RequestError

__all__ = ["page_of"]


class _Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Named)


def page_of(found: Sequence[T], after: str, limit: str, usual: int, most: int = 10_000) -> tuple[Sequence[T], bool]:
    """Those of a page, and whether there are more. Raises RequestError."""
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10 and 1 <= int(limit) <= most):
        raise RequestError(f"limit is {limit!r:.40}; expected a whole number from 1 to {most}", "limit")
    first = 0
    if after:
        first = next((number for number, one in enumerate(found, 1) if one.id == after), -1)
        if first < 0:
            raise RequestError(f"after is {after!r:.60}, which is not in this list", "after")
    last = first + (int(limit) if limit else usual)
    return found[first:last], len(found) > last
