"""A lesson as the model sees it: token ids, and which of them it is to learn to say.

The ids are those of serving, from the same template. What is learnt of an answer goes from its first token to the token
that ends its turn, which a model that never learnt it would never say.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gadfly.answer import Prompts
from gadfly.batch import Ints
from gadfly.errors import RequestError, UnsupportedError
from gadfly.train.data.alphabet import Alphabet, Alternatives
from gadfly.train.data.chats import Lesson

__all__ = ["Sample", "sample"]


@dataclass(frozen=True, eq=False)
class Sample:
    """`learnt[i]` says whether token i is to be predicted from those before it; both arrays are (tokens,).

    `strength` is that of the adapter meanwhile: it is learnt at the strengths at which it will be used. `alternatives`
    are what is learnt beside these tokens, or in their place.
    """

    ids: Ints
    learnt: NDArray[np.bool_]
    weight: float = 1.0
    strength: float = 1.0
    alternatives: Alternatives | None = None

    def __len__(self) -> int:
        return len(self.ids)


def sample(lesson: Lesson, prompts: Prompts, longest: int, alphabet: Alphabet | None = None) -> Sample:
    """Raises RequestError if nothing of it could be learnt, or its template is not one that only ever appends.

    With an `alphabet` it is learnt from what a teacher found likely, and what `Alphabet.learn` raises is raised here.
    """
    tokenizer = prompts.tokenizer
    strength = 1.0 if lesson.dial is None else lesson.dial
    if not strength:
        raise RequestError("dial is 0, where the adapter is off, so nothing can be learnt; leave it out, or say 1")
    if tokenizer is None or prompts.template is None:
        raise UnsupportedError(f"{prompts.name} has no chat template; conversations cannot be learnt with it")
    messages = lesson.messages
    ids = prompts.answered_ids(messages)
    learnt = np.zeros(len(ids), np.bool_)
    alternatives = None if alphabet is None else Alternatives.none(len(ids))
    for number, wanted in enumerate(lesson.learnt):
        if not wanted:
            continue
        begin = _common("begins", prompts.ids(messages[:number]), ids, number)
        end = _common("ends", prompts.answered_ids(messages[: number + 1]), ids, number)
        end = _turn_end(ids, begin, end, tokenizer.stop_ids)
        learnt[begin:end] = True
        if alphabet is not None and alternatives is not None and number in lesson.likely:
            alphabet.learn(alternatives, ids, begin, end, lesson.likely[number])
    ids, learnt = ids[:longest], learnt[:longest]
    learnt[:1] = False  # nothing comes before it
    if not learnt.any():
        raise RequestError(f"nothing of it is left to learn within {longest} tokens")
    if alternatives is not None:
        alternatives = Alternatives(alternatives.ids[:longest], alternatives.shares[:longest])
    return Sample(np.array(ids, np.int32), learnt, lesson.weight, strength, alternatives)


def _common(what: str, part: Sequence[int], ids: Sequence[int], number: int) -> int:
    if list(ids[: len(part)]) != list(part):
        raise RequestError(
            f"where message {number + 1} {what} cannot be told: the model's template writes it differently in the "
            "whole conversation than at its end"
        )
    return len(part)


def _turn_end(ids: Sequence[int], begin: int, end: int, stops: Collection[int]) -> int:
    """Just behind the first token that ends a turn; whatever the template writes after it nobody has to say."""
    return next((i + 1 for i in range(begin, end) if ids[i] in stops), end)
