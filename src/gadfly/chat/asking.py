"""One question of a conversation after another: fitted into the context, asked, and answered, with tools or without.

`Asking` has the turns and an answer that is being written, if there is one; `gadfly.chat.session` has what a user can
do with them. Who speaks: `persona`. What falls off: `window`. How it is kept: `kept`. Calls of tools: `tools.calling`.
"""

import secrets
from collections.abc import Generator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from gadfly.chat.coming import Coming
from gadfly.chat.kept import Kept, asked_with, end_of
from gadfly.chat.persona import Persona, checked_wit
from gadfly.chat.tools import RESULT_LIMIT, AskModel, Consent, Exchange, Grants, Offer, Step, ToolResult
from gadfly.chat.tools.calling import Calling, EventGeneration
from gadfly.chat.values import Generation, Message, Provenance, Reply, Speaker, Turn, said_with
from gadfly.chat.window import fit, notice
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest
from gadfly.errors import RequestError

__all__ = ["ANSWER_TOKENS", "Asking"]

ANSWER_TOKENS = 1024  # at most, unless asked for: small models do not always find an end


class Asking:
    """What `gadfly.chat.session.Chat` is made with, and how it has questions answered."""

    def __init__(
        self,
        speaker: Speaker,
        persona: Persona,
        wit: float = 0.5,
        *,
        system: str | None = None,
        max_tokens: int = ANSWER_TOKENS,
        kept: Kept | None = None,
        adapters: Mapping[str, float] | None = None,
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
        self.kept = kept
        self.adapters: Mapping[str, float] = dict(adapters or {})
        self.offer = Offer()
        self._grants = Grants()
        self._calling: Calling | None = None
        self._sampling = sampling
        self._generation: Generation | None = None
        self._pieces: Generator[str, None, None] | None = None
        self._origin: Provenance | None = None  # of the answer to the last question
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
    def notice(self) -> str | None:
        """What the last question pushed out of the model's sight, in a sentence."""
        return notice(self.turns, self.speaker.context)

    @property
    def step(self) -> Step | None:
        """What has to be done before the question is answered, where the model wishes for calls of tools.

        AskUser: `decide`. CallTool: `call`. AskModel: `go_on`. None: nothing, or the model has not said it all.
        """
        return self._calling.step if self._calling is not None and self._generation is None else None

    def decide(self, consent: Consent) -> None:
        """Allow the call that the model wishes for, or not."""
        self._need_calling().decide(consent)
        self._put_calls()

    def call(self) -> ToolResult | None:
        """Make the call that was allowed. `cancel` ends it, and the whole answer; then there is no result."""
        result = self._need_calling().call()
        self._put_calls()
        if result is None:
            self._calling = None
        return result

    def go_on(self) -> Generator[str, None, None]:
        """Have the model go on with the results of its calls; like `stream`."""
        calling = self._need_calling()
        assert isinstance(calling.step, AskModel) and self.turns
        return self._begin(self.turns[-1], EventGeneration(self.speaker.answer(calling.request())), self._origin)

    def stop_calls(self) -> None:
        """The user wants no more calls, and no answer that depends on them."""
        if self._calling is not None:
            self._calling.stop()
            self._put_calls()
            self._calling = None

    def cancel(self) -> None:
        """Stop the answer that is being written; what there is of it stays. Never waits: for signal handlers too."""
        if self._generation is not None:
            self._generation.cancel()
        if self._calling is not None:
            self._calling.cancel()

    def _ask(self, before: tuple[Turn, ...], turn: Turn) -> Generator[str, None, None]:
        first, prompt = fit(before, turn, self._prompt, self.speaker.context, self.max_tokens)
        turn = replace(turn, first=first, between=())
        sampling = replace(self.persona.sampling, **self._sampling)
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + turn.attempt)
        origin = None
        playing = (self.persona.name, self.wit) if self.system is None else (None, None)
        strengths = self.speaker.strengths(self.adapters, *playing)
        if self.kept is not None:
            if sampling.seed is None:  # so that the answer can be had again
                sampling = replace(sampling, seed=secrets.randbelow(2**31))
            if turn.node is None:
                turn = replace(turn, node=self.kept.ask(end_of(before), turn, self._terms()))
            origin = asked_with(self.speaker.provenance, self.persona.name, self.wit, self.system, sampling)
            dropped = sum(len(turn.messages) for turn in before[:first])
            origin = replace(origin, dropped=dropped, adapters=dict(strengths))
        self.turns, self._origin = (*before, turn), origin
        if not self.offer.tools:
            generation = self.speaker.respond(prompt, self.max_tokens, sampling, self.persona.stop, strengths)
            return self._begin(turn, generation, origin)
        messages = self._messages(before[first:], said_with(turn.user, turn.attachments))
        request = ChatRequest(
            tuple(messages), self.max_tokens, sampling, self.persona.stop, truncate=True, adapters=strengths
        )
        exchange = Exchange(self.offer, self._grants, limit=min(RESULT_LIMIT, self.speaker.context))
        self._calling = Calling(exchange, request, turn.node, self.kept.add if self.kept else lambda *_: None)
        return self.go_on()

    def _begin(self, turn: Turn, generation: Generation, origin: Provenance | None) -> Generator[str, None, None]:
        self._generation = generation
        self._pieces = self._write(turn, generation, self.persona.name, self.wit, origin)
        return self._pieces

    def _write(
        self, turn: Turn, generation: Generation, persona: str, wit: float, origin: Provenance | None
    ) -> Generator[str, None, None]:
        calling = self._calling
        coming = Coming(generation, self.kept, calling.last if calling is not None else turn.node, origin)
        try:
            yield from coming.pieces()
        finally:  # also when the caller stops listening or presses Ctrl-C, or when the disk is full
            completion, said, failed = generation.completion, coming.said, coming.failure is not None
            wishes = said is not None and said.tool_calls and completion.finish_reason != "cancelled"
            if calling is not None and said is not None and wishes and not failed:
                calling.answered(said, coming.node)
                self._put_calls()
            elif not failed and (completion.text or completion.finish_reason != "cancelled"):
                reply = Reply(completion.text, completion, persona, wit, self.notice, coming.node)
                self.turns = tuple(replace(turn, reply=reply) if one is turn else one for one in self.turns)
            elif self.turns and self.turns[-1] is turn:
                self._end_at(self.turns)
            if self._generation is generation:
                self._generation = None
                if not wishes or failed:
                    self._calling = None

    def _need_calling(self) -> Calling:
        if self._calling is None:
            raise RequestError("no call of a tool is due")
        return self._calling

    def _put_calls(self) -> None:
        """The last turn has the calls and results that there are by now."""
        if self._calling is not None and self.turns:
            self.turns = (*self.turns[:-1], replace(self.turns[-1], between=self._calling.messages))

    def _terms(self) -> dict[str, Any]:
        """What the app is to go on with."""
        return {
            "persona": self.persona.name,
            "wit": self.wit,
            "system": self.system,
            "model": self.speaker.provenance.model,
        }

    def _end_at(self, turns: Sequence[Turn]) -> None:
        """Have the path in the store end where these turns do."""
        if self.kept is not None:
            self.kept.end_at(end_of(turns))

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
        self.stop_calls()

    def _prompt(self, turns: Sequence[Turn], asked: Message) -> list[int]:
        return self.speaker.prompt_ids(self._messages(turns, asked), self.offer.shown)

    def _messages(self, turns: Sequence[Turn], asked: Message) -> list[Message]:
        told = [Message("system", self.system or "")]
        if self.system is None:
            told = self.speaker.cast(self.persona).messages(self.wit)
        return [*told, *(message for turn in turns for message in turn.messages), asked]
