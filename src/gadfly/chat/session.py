"""A conversation with a model: ask, ask again, take back, and fit what was said into the model's context.

What was said is a tuple of frozen turns; every operation replaces it whole, so nothing is ever half changed. When the
conversation outgrows the context, its oldest exchanges are no longer shown to the model, and `Chat.notice` says so.
They go in large steps: between two of them every prompt begins as the one before, which the engine's cache rewards.
Who speaks: `persona`. How a conversation is kept in a file: `record`. Who draws it on a screen: `gadfly.cli.chat`.
"""

from bisect import bisect_left
from collections.abc import Generator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from gadfly.chat.persona import Persona, checked_wit, load_persona
from gadfly.chat.record import Record, read_record, write_record
from gadfly.chat.values import Generation, Message, Reply, Speaker, Turn
from gadfly.completion import Sampling
from gadfly.errors import ContextError, RequestError

__all__ = ["ANSWER_TOKENS", "Chat"]

ANSWER_TOKENS = 1024  # at most, unless asked for: small models do not always find an end


class Chat:
    """See the module. `turns` is what was said; `persona`, `wit` and `system` may be changed at any time.

    `system` replaces the persona's prompt and examples. `sampling` are fields of Sampling that override the persona's;
    with a `seed` the same questions get the same answers. An answer has room for `max_tokens`, or for a quarter of the
    context if that is less. Raises UnsupportedError if the model has no tokenizer and so cannot be talked to.
    """

    def __init__(
        self,
        speaker: Speaker,
        persona: Persona,
        wit: float = 0.5,
        *,
        system: str | None = None,
        max_tokens: int = ANSWER_TOKENS,
        **sampling: Any,
    ) -> None:
        unknown = sorted(sampling.keys() - {field.name for field in fields(Sampling)})
        if unknown:
            raise RequestError(f"there is no option {unknown[0]!r}; see help(gadfly.completion.Sampling)")
        if isinstance(max_tokens, bool) or not isinstance(max_tokens, int) or max_tokens < 1:
            raise RequestError(f"max_tokens is {max_tokens!r}; it has to be a whole number of at least 1")
        replace(persona.sampling, **sampling)  # values out of range are refused here, not at the first question
        self.persona = persona
        self.wit = wit
        self.system = system
        self.max_tokens = max_tokens
        self.turns: tuple[Turn, ...] = ()
        self._sampling = sampling
        self._generation: Generation | None = None
        self._pieces: Generator[str, None, None] | None = None
        self.speaker = speaker

    @property
    def wit(self) -> float:
        """From 0, dry, to 1, merciless."""
        return self._wit

    @wit.setter
    def wit(self, wit: float) -> None:
        self._wit = checked_wit(wit)

    @property
    def speaker(self) -> Speaker:
        """The model. Another one looks at the whole conversation again."""
        return self._speaker

    @speaker.setter
    def speaker(self, speaker: Speaker) -> None:
        speaker.prompt_ids([Message("user", "?")])  # what cannot be talked to says so now
        self._settle()
        self.turns = tuple(replace(turn, first=0) for turn in self.turns)
        self._speaker = speaker

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
        """Ask, and wait for the whole answer. Raises like `stream`."""
        for _ in self.stream(text):
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
        self._last()
        return self._ask(self.turns[:-1], Turn(_checked(text)))

    def undo(self) -> Turn:
        """Take back the last question and its answer, and return them."""
        last = self._last()
        self.turns = self.turns[:-1]
        return last

    def new(self) -> None:
        """Forget what was said."""
        self._settle()
        self.turns = ()

    def cancel(self) -> None:
        """Stop the answer that is being written; what there is of it stays. Never waits: for signal handlers too."""
        if self._generation is not None:
            self._generation.cancel()

    @property
    def notice(self) -> str | None:
        """What the last question pushed out of the model's sight, in a sentence."""
        if not self.turns:
            return None
        first, before = self.turns[-1].first, self.turns[-2].first if len(self.turns) > 1 else 0
        fell = sum(bool(turn.messages) for turn in self.turns[before:first])
        if not fell:
            return None
        exchanges = "exchange" if first == 1 else f"{first} exchanges"
        return (
            f"The conversation outgrew the {self.speaker.context} tokens this model can see: the first {exchanges} "
            "of it stay on record, but the model no longer knows them."
        )

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

    def _last(self) -> Turn:
        self._settle()
        if not self.turns:
            raise RequestError("nothing has been said yet")
        return self.turns[-1]

    def _ask(self, before: tuple[Turn, ...], turn: Turn) -> Generator[str, None, None]:
        first, prompt = self._fit(before, turn.user)
        turn = replace(turn, first=first)
        self.turns = (*before, turn)
        sampling = replace(self.persona.sampling, **self._sampling)
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + turn.attempt)
        self._generation = self.speaker.respond(prompt, self.max_tokens, sampling, self.persona.stop)
        self._pieces = self._write(turn, self._generation, self.persona.name, self.wit)
        return self._pieces

    def _write(self, turn: Turn, generation: Generation, persona: str, wit: float) -> Generator[str, None, None]:
        failed = False
        try:
            yield from generation
        except Exception:
            failed = True
            raise
        finally:  # also when the caller stops listening or presses Ctrl-C
            generation.cancel()
            completion = generation.completion
            if not failed and (completion.text or completion.finish_reason != "cancelled"):
                reply = Reply(completion.text, completion, persona, wit, self.notice)
                self.turns = tuple(replace(turn, reply=reply) if one is turn else one for one in self.turns)
            if self._generation is generation:
                self._generation = None

    def _settle(self) -> None:
        """End an answer that is still being written: its reader has moved on."""
        if self._pieces is not None:
            try:
                self._pieces.close()
            except ValueError:  # it is running, which only another thread can see
                raise RequestError("an answer is being written in another thread; cancel() it first") from None
            self._pieces = None
        if self._generation is not None:  # nobody ever listened
            self._generation.cancel()
            self._generation = None

    def _fit(self, turns: tuple[Turn, ...], text: str) -> tuple[int, list[int]]:
        """The first turn to show and the prompt, within the context less the room for an answer."""
        context = self.speaker.context
        room = context - min(self.max_tokens, context // 4)
        first = turns[-1].first if turns else 0
        prompt = self._prompt(turns[first:], text)
        if len(prompt) <= room:
            return first, prompt
        least = len(self._prompt((), text))
        if least > room:
            raise ContextError(
                f"the text and the persona take {least} tokens, and of the {context} this model can see, {room} are "
                f"for them; shorten the text by about {least - room} tokens, or load the model with a larger context"
            )
        goal = least + (room - least) // 2
        ends = range(first + 1, len(turns) + 1)
        first = ends[bisect_left(ends, True, key=lambda i: len(self._prompt(turns[i:], text)) <= goal)]
        return first, self._prompt(turns[first:], text)

    def _prompt(self, turns: Sequence[Turn], text: str) -> list[int]:
        told = self.persona.messages(self.wit) if self.system is None else [Message("system", self.system)]
        said = [message for turn in turns for message in turn.messages]
        return self.speaker.prompt_ids([*told, *said, Message("user", text)])


def _checked(text: str) -> str:
    if not text.strip():
        raise RequestError("the question is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("the question is no valid Unicode text: it has half a character in it") from None
    return text
