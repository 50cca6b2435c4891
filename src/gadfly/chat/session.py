"""A conversation with a model: ask, ask again, take back, and fit what was said into the model's context.

What was said is a tuple of frozen turns; every operation replaces it whole, so nothing is ever half changed. When the
conversation outgrows the context, its oldest exchanges are no longer shown to the model, and `Chat.notice` says so.
They go in large steps: between two of them every prompt begins as the one before, which the engine's cache rewards.
How questions are asked and answered: `asking`. How a conversation is kept: in a store by `kept`, in a file: `record`.
"""

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gadfly.chat.asking import ANSWER_TOKENS, Asking
from gadfly.chat.kept import Kept
from gadfly.chat.persona import load_persona
from gadfly.chat.record import Record, read_record, write_record
from gadfly.chat.tools import AskModel, AskUser, CallTool, Grants
from gadfly.chat.values import Reply, Turn
from gadfly.errors import NotFoundError, RequestError

__all__ = ["ANSWER_TOKENS", "Chat"]


class Chat(Asking):
    """See the module. `turns` is what was said; `persona`, `wit`, `system` and `adapters` may be changed at any time.

    `system` replaces the persona's prompt and examples. `sampling` are fields of Sampling that override the persona's;
    with a `seed` the same questions get the same answers. An answer has room for `max_tokens`, or for a quarter of the
    context if that is less. `adapters` are strengths by name, of adapters beside the model; those that are not named go
    by the persona and its wit, or are as strong as they were loaded. With `kept`, all is on record in a store: what is
    asked or answered anew becomes another branch there. What is in `offer` the model may call, if the user consents:
    see `step`. Raises UnsupportedError if the model has no tokenizer and so cannot be talked to.
    """

    @property
    def caveat(self) -> str | None:
        """What a user has to know about this speaker before believing a word, in a sentence."""
        if self.speaker.has_template:
            return None
        return (
            "This is a base model playing a part: it was never taught to converse, and continues a transcript in which "
            f"{self.persona.name.capitalize()} answers."
        )

    def send(self, text: str) -> Reply:
        """Ask, and wait for the whole answer. Raises like `stream`. Calls are not allowed here: see `step`."""
        for _ in self.stream(text):
            pass
        while (step := self.step) is not None:
            match step:
                case AskUser():
                    self.decide("no")
                case CallTool():
                    self.call()
                case AskModel():
                    for _ in self.go_on():
                        pass
        reply = self.turns[-1].reply if self.turns else None
        if reply is None:
            raise RequestError("the answer was cancelled before it began; retry() asks again")
        return reply

    def stream(self, text: str) -> Generator[str, None, None]:
        """Ask; the answer comes in pieces and is on record once they are exhausted, closed or cancelled.

        Raises ContextError, and changes nothing, if the text is too long by itself. If anything fails later, the text
        stays as a turn without an answer, and `retry` asks it again.
        """
        self._settle()
        return self._ask(self.turns, Turn(_checked(text)))

    def retry(self) -> Generator[str, None, None]:
        """Ask the last question again. The answer it had is replaced when a new one is there."""
        last = self._last()
        return self._ask(self.turns[:-1], replace(last, attempt=last.attempt + (last.reply is not None)))

    def edit(self, text: str) -> Generator[str, None, None]:
        """Ask something else instead of the last question."""
        last = self._last()
        return self._ask(self.turns[:-1], Turn(_checked(text), attachments=last.attachments))

    def undo(self) -> Turn:
        """Take back the last question and its answer, and return them."""
        last = self._last()
        self._end_at(self.turns[:-1])
        self.turns = self.turns[:-1]
        return last

    def new(self) -> None:
        """Forget what was said; a store does not."""
        self._settle()
        self.turns, self._grants = (), Grants()
        if self.kept is not None:
            self.kept.new()

    def open(self, chat: str) -> None:
        """Go on in a chat of the store, as the persona it was held with, or as this one if that is gone.

        Raises NotFoundError, and changes nothing, if there is no such chat.
        """
        kept = self._require_kept()
        self._settle()
        info = kept.open(chat).info
        self._grants = Grants()
        with suppress(NotFoundError):
            self.persona = load_persona(info.persona or self.persona.name)
        self.wit = self.wit if info.wit is None else info.wit
        self.system = info.system
        self.turns = kept.turns()

    def choose(self, node: int) -> None:
        """Go on with another version of something that was said: the path through this message of the store."""
        kept = self._require_kept()
        self._settle()
        kept.choose(node)
        self.turns = kept.turns()

    def save(self, path: Path | str) -> None:
        """Write the conversation as JSON (see `record`), whole or not at all."""
        self._settle()
        write_record(Path(path), Record(self.persona.name, self.wit, self.system, self.turns))

    def load(self, path: Path | str) -> None:
        """Continue a conversation from a file, as the persona it was held with. Raises, or changes everything."""
        record = read_record(Path(path))
        persona = self.persona if record.persona == self.persona.name else load_persona(record.persona)
        self._settle()
        self.persona, self.wit, self.system, self.turns = persona, record.wit, record.system, record.turns
        if self.kept is not None:
            self.turns = self.kept.adopt(self.turns, self._terms())

    def _last(self) -> Turn:
        self._settle()
        if not self.turns or not self.turns[-1].user:
            raise RequestError("nothing has been said yet")
        return self.turns[-1]

    def _require_kept(self) -> Kept:
        if self.kept is None:
            raise RequestError("this conversation is private: nothing is kept, and nothing can be opened")
        return self.kept


def _checked(text: str) -> str:
    if not text.strip():
        raise RequestError("the question is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("the question is no valid Unicode text: it has half a character in it") from None
    return text
