"""What a run is asked while it learns, and what it says: the same few questions each time, so that one sees it change.

Conversations are asked the questions of the recipe, under the system prompt that most of what is learnt has. Of texts,
beginnings are gone on with. It is asked before the first step, after the last, and in between as long as that takes no
more than a small `SHARE` of the time of learning.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.train.data.sample import Sample
from gadfly.train.speech import spoken_ids
from gadfly.train.trainable import Trainable

__all__ = ["QUESTIONS", "SHARE", "Said", "Trial"]

QUESTIONS = ("What is rain?", "Who are you?", "Why do people hold meetings?")
BEGINNINGS = 2  # of texts
LENGTH = 16  # tokens of a beginning
MOST = 32  # tokens of an answer
SHARE = 0.02  # of a run's time


@dataclass(frozen=True)
class Said:
    """`prompt` is the question, or the beginning, as it was written."""

    prompt: str
    text: str


class Trial:
    """Of `asked`: what is shown, and its ids. `clock` tells seconds."""

    def __init__(
        self,
        asked: Sequence[tuple[str, Sequence[int]]],
        prompts: Prompts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asked, self._prompts, self._clock = asked, prompts, clock
        self._began, self._spent = clock(), 0.0

    @classmethod
    def of_questions(cls, questions: Sequence[str], system: str | None, prompts: Prompts) -> Self:
        led = [Message("system", system)] if system else []
        return cls([(one, prompts.ids([*led, Message("user", one)])) for one in questions], prompts)

    @classmethod
    def of_texts(cls, texts: Sequence[Sample], prompts: Prompts) -> Self:
        assert prompts.tokenizer is not None
        ids = [one.ids[:LENGTH].tolist() for one in texts[:BEGINNINGS]]
        return cls([(prompts.tokenizer.decode(one).strip(), one) for one in ids], prompts)

    def due(self, step: int, steps: int) -> bool:
        """Whether it shall be asked after so many steps: there is time for it."""
        if not self._asked:
            return False
        return step in (0, steps) or self._spent <= SHARE * (self._clock() - self._began)

    def ask(self, model: Trainable) -> list[Said]:
        tokenizer = self._prompts.tokenizer
        assert tokenizer is not None
        began = self._clock()
        found = spoken_ids([ids for _, ids in self._asked], model, tokenizer, MOST)
        self._spent += self._clock() - began
        return [
            Said(prompt, tokenizer.decode(ids).strip()) for (prompt, _), ids in zip(self._asked, found, strict=True)
        ]
