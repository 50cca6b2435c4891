"""What a model still sees of a conversation that has outgrown its context: the latest turns, whole ones.

Old turns go in large steps. Between two of them every prompt begins as the one before, which an engine's cache rewards;
if one turn were dropped for each that comes, every prompt would be read from its beginning.
"""

from bisect import bisect_left
from collections.abc import Callable

__all__ = ["first_in_sight"]


def first_in_sight(count: int, first: int, length: Callable[[int], int], room: int) -> int | None:
    """The number of the first turn to show, of `count` before the question; None if the question alone has no room.

    `length(i)` is that of the prompt which shows turns from i on, in tokens, and falls with i. What was out of sight
    when turn `first` was the first to be shown stays so.
    """
    if length(first) <= room:
        return first
    least = length(count)
    if least > room:
        return None
    goal = least + (room - least) // 2
    starts = range(first + 1, count + 1)
    return starts[bisect_left(starts, True, key=lambda i: length(i) <= goal)]
