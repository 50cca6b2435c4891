"""Lists as OpenAI's client turns their pages: so many, after the one with a certain id."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from gadfly.errors import RequestError

__all__ = ["latest", "page_of"]

_MOST = 10_000


class _Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Named)


def page_of(found: Sequence[T], after: str, limit: str, usual: int) -> tuple[Sequence[T], bool]:
    """Those of a page, and whether there are more. Raises RequestError."""
    most, first = _limit(limit, usual), 0
    if after:
        first = next((number for number, one in enumerate(found, 1) if one.id == after), -1)
        if first < 0:
            raise _unknown(after)
    return found[first : first + most], len(found) > first + most


def latest(found: Iterable[T], after: str, limit: str, usual: int = 20) -> tuple[Sequence[T], bool]:
    """The same of a long list that comes with the latest last, and is turned round."""
    most = _limit(limit, usual)
    kept: deque[T] = deque(maxlen=most + 1)
    for one in found:
        if after and one.id == after:
            break
        kept.append(one)
    else:
        if after:
            raise _unknown(after)
    return list(kept)[::-1][:most], len(kept) > most


def _limit(limit: str, usual: int) -> int:
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10 and 1 <= int(limit) <= _MOST):
        raise RequestError(f"limit is {limit!r:.40}; expected a whole number from 1 to {_MOST}", "limit")
    return int(limit) if limit else usual


def _unknown(after: str) -> RequestError:
    return RequestError(f"after is {after!r:.60}, which is not in this list", "after")
