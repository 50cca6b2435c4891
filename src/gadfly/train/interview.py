"""What the base itself answers to questions, before it learns anything: what a model can be held to without a file.

Every answer is the likeliest word after the other. They are kept as conversations, so that a run which is gone on with
is held to the same ones, and anybody can read them.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError, UnsupportedError
from gadfly.lines import Problem, line_of, read_text
from gadfly.train.speech import spoken_ids
from gadfly.train.trainable import Trainable
from gadfly.weights.disk import replacing

__all__ = ["PLAIN", "Interview"]

PLAIN = "plain"  # the name of the questions that lie beside this file
LARGEST = 1_000_000  # bytes
MOST = 40  # tokens of an answer
TOGETHER = 16  # questions


@dataclass(frozen=True, eq=False)
class Interview:
    """`asked` are conversations that lack their answer, and their ids."""

    asked: Sequence[tuple[Sequence[Message], Sequence[int]]]
    prompts: Prompts

    @classmethod
    def of(
        cls,
        named: str,
        place: Path,
        system: str | None,
        prompts: Prompts,
        longest: int,
        told: Callable[[Path, Problem], None],
    ) -> Self:
        """The questions `named`: PLAIN, or a text file in `place` with one a line; those that are too long are told.

        Raises NotFoundError, UnsupportedError, or RequestError for a file that cannot be read or has none to ask.
        """
        if prompts.template is None:
            raise UnsupportedError(f"{prompts.name} has no chat template, so nobody can ask it; leave out hold")
        path = Path(__file__).with_name("plain.txt") if named == PLAIN else place / named
        if not path.exists():
            raise NotFoundError(f"there are no questions {path}; name a text file with one a line, or say {PLAIN!r}")
        asked = []
        for number, line in enumerate(read_text(path, LARGEST).splitlines(), 1):
            if not line.strip():
                continue
            messages = [*([Message("system", system)] if system else []), Message("user", line.strip())]
            ids = prompts.ids(messages)
            if len(ids) >= longest:
                told(path, Problem(number, f"takes {len(ids)} tokens with what leads it; `longest` is {longest}"))
            else:
                asked.append((messages, ids))
        if not asked:
            raise RequestError(f"{path} has no question that fits into `longest`, {longest} tokens; name others")
        return cls(asked, prompts)

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps([MOST, *(list(ids) for _, ids in self.asked)]).encode()).hexdigest()

    def keep(self, path: Path, model: Trainable, done: Callable[[int], None], stopped: Callable[[], bool]) -> bool:
        """Ask the base of a model, and write conversations; False if `stopped`. `done` hears how many are answered.

        Questions to which it says nothing are left out. Raises CapacityError if the disk is full.
        """
        assert model.base is not None and self.prompts.tokenizer is not None
        base, lines = replace(model, weights=model.base), []
        for first in range(0, len(self.asked), TOGETHER):
            if stopped():
                return False
            part = self.asked[first : first + TOGETHER]
            found = spoken_ids([ids for _, ids in part], base, self.prompts.tokenizer, MOST)
            for (messages, _), ids in zip(part, found, strict=True):
                if text := self.prompts.tokenizer.decode(ids).strip():
                    said = [*messages, Message("assistant", text)]
                    lines.append(line_of({"messages": [{"role": one.role, "content": one.content} for one in said]}))
            done(first + len(part))
        with replacing(path) as file:
            file.writelines(lines)
        return True
