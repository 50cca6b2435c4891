"""What a model still sees of a conversation that has outgrown its context: the latest turns, whole ones.

Old turns go in large steps. Between two of them every prompt begins as the one before, which an engine's cache rewards;
if one turn were dropped for each that comes, every prompt would be read from its beginning.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

from gadfly.chat.values import Message, Turn, said_with
from gadfly.errors import ContextError

__all__ = ["first_in_sight", "first_in_steps", "fit", "notice"]


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


def first_in_steps(last: int, length: Callable[[int], int], room: int, step: int) -> int:
    """The number of the first exchange to show, at most the `last`, for those who do not remember what was shown.

    It depends on the conversation alone: only exchanges that reach over a multiple of `step` tokens, counted from the
    beginning, may be the first, which they stay when others come. `length` is as above; all are shown from 0 on.
    """
    whole = length(0)
    if whole <= room:
        return 0
    starts = range(last + 1)
    first = min(bisect_left(starts, True, key=lambda i: length(i) <= room), last)
    goal = ((whole - length(first)) // step + 1) * step
    return bisect_left(starts, True, lo=first + 1, key=lambda i: whole - length(i) >= goal) - 1


def fit(
    turns: Sequence[Turn],
    question: Turn,
    prompt: Callable[[Sequence[Turn], Message], list[int]],
    context: int,
    max_tokens: int,
) -> tuple[int, list[int]]:
    """The first turn to show and the prompt, in `context` tokens less the room for an answer of `max_tokens`.

    Raises ContextError if the question has no room by itself.
    """
    room = context - min(max_tokens, context // 4)
    asked = said_with(question.user, question.attachments)
    before = turns[-1].first if turns else 0
    first = first_in_sight(len(turns), before, lambda i: len(prompt(turns[i:], asked)), room)
    if first is None:
        least = len(prompt((), asked))
        raise ContextError(
            f"the text and the persona take {least} tokens, and of the {context} this model can see, {room} are for "
            f"them; shorten the text by about {least - room} tokens, or load the model with a larger context"
        )
    return first, prompt(turns[first:], asked)


def notice(turns: Sequence[Turn], context: int) -> str | None:
    """What the last question pushed out of sight, in a sentence."""
    if not turns:
        return None
    first, before = turns[-1].first, turns[-2].first if len(turns) > 1 else 0
    fell = sum(bool(turn.messages) for turn in turns[before:first])
    if not fell:
        return None
    exchanges = "exchange" if first == 1 else f"{first} exchanges"
    return (
        f"The conversation outgrew the {context} tokens this model can see: the first {exchanges} of it stay on "
        "record, but the model no longer knows them."
    )
