"""Answers requests with a model: what they ask for becomes prompts for the engine and readers for what it writes.

What a model is able to do, such as thinking between marks or calling tools in its own dialect, is read once from its
template and vocabulary. Events are made in `gadfly.answer.builder`, prompts in `gadfly.answer.prompt`.
"""

import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gadfly.answer.adapters import Adapters
from gadfly.answer.answer import Answer, EngineChoice
from gadfly.answer.builder import AnswerBuilder
from gadfly.answer.prompt import Prompts, fitting, spoken
from gadfly.chat.persona import load_persona
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Message, TextRequest, Tool, ToolChoice
from gadfly.engine import ConstraintSource, Engine, Request
from gadfly.errors import GadflyError, RequestError
from gadfly.text import (
    AnswerGrammar,
    AnswerReader,
    StopStrings,
    ThoughtReader,
    ToolCallReader,
    TranscriptAnswer,
    thought_marks,
    tool_dialect,
)

if TYPE_CHECKING:
    from gadfly.text.grammar import GrammarConstraint, Grammars

__all__ = ["Answerer", "new_call_id"]

MOST_CHOICES = 128  # as in OpenAI's API
MOST_TOOLS = 128  # likewise
ID_ALPHABET = string.ascii_letters + string.digits
INSIDE = ("</tool_call>", "[ARGS]", "[CALL_ID]")  # marks within calls that may be tokens of their own
PERSONA = "gadfly"  # whose wit is meant if a request names none
BEGINNING = 8  # tokens at the end of a prompt in which a thought may have begun

Listener = Callable[[Any], None]


def new_call_id() -> str:
    """An id for a call of a tool: nine letters and digits, which is what the strictest templates take."""
    return "".join(secrets.choice(ID_ALPHABET) for _ in range(9))


class Answerer:
    """Of one model: its engine, and how prompts are written for it."""

    def __init__(self, engine: Engine, prompts: Prompts, adapters: Adapters | None = None) -> None:
        self._engine = engine
        self._adapters = adapters or Adapters()
        self._prompts = prompts
        self._tokenizer = prompts.tokenizer
        source = prompts.template.source if prompts.template else ""
        controls = dict(prompts.tokenizer.controls) if prompts.tokenizer else {}
        self._thought = thought_marks(source, frozenset(controls))
        self._dialect = tool_dialect(source, frozenset(controls))
        self._grammar = AnswerGrammar(controls, self._dialect, self._thought)
        self._plain_grammar = AnswerGrammar(controls, self._dialect)
        self._grammars: Grammars | None = None  # most models are never asked for a format
        marks = {*(self._thought or ()), *self._dialect.marks, *INSIDE}
        self._marks = {token: text for text, token in controls.items() if text in marks}

    def answer(self, request: ChatRequest, listener: Listener | None = None, **terms: Any) -> Answer:
        """Answer a conversation. Raises RequestError, ContextError or UnsupportedError before anything is computed.

        `listener` and `terms` are those of `Engine.submit` and `Request`: who hears of news, `client` and `seconds`.
        """
        _checked(request)
        messages, sampling, stop = list(request.messages), request.sampling, request.stop
        strengths = self._adapters.strengths(request.adapters)
        if request.persona is not None or request.wit is not None:
            wit = 0.5 if request.wit is None else request.wit
            persona = self._adapters.cast(load_persona(request.persona or PERSONA))
            strengths = self._adapters.strengths(request.adapters, persona.name, wit)
            messages = spoken(persona, wit, messages)
            sampling, stop = sampling or persona.sampling, (*stop, *persona.stop)
        tools = request.tools if request.tool_choice.mode != "none" else ()

        marks = self._unthinking(messages, request) if request.prefix else ""

        def write(shown: Sequence[Message]) -> list[int]:
            return self._prompts.ids(shown, tools, request.template_variables, marks, request.prefix)

        context = self._engine.context
        room = context - min(request.max_tokens or context, context // 4)
        prompt, dropped = fitting(messages, write, context, room, request.truncate)

        thinking, choice = self._thinking(prompt), request.tool_choice
        callable_ = _callable(tools, choice)
        grammar = self._grammar.text(request.format, callable_, choice.mode == "required", choice.parallel, thinking)
        asked = self._asked(prompt, request.max_tokens, sampling, request.logprobs, strengths)
        builders = [
            AnswerBuilder(
                self._tokenizer,
                StopStrings(stop) if self._prompts.template else TranscriptAnswer(stop, bool(request.prefix)),
                self._reader(callable_, choice.parallel, choice.mode == "required", thinking),
                self._marks,
                dropped,
                bool(request.prefix),
            )
            for _ in range(request.n)
        ]
        return self._begin(replace(asked, **terms), listener, request.max_tokens, builders, grammar)

    def complete(self, request: TextRequest, listener: Listener | None = None, **terms: Any) -> Answer:
        """Continue text or ids as they are. Raises like `answer`."""
        _checked(request)
        prompt = self._prompts.text_ids(request.prompt)
        dropped = 0
        if request.truncate:
            context = self._engine.context
            dropped = max(0, len(prompt) - (context - min(request.max_tokens or 1, context // 2)))
        strengths = self._adapters.strengths(request.adapters)
        asked = self._asked(prompt[dropped:], request.max_tokens, request.sampling, request.logprobs, strengths)
        asked = replace(
            asked, ignore_eos=request.ignore_eos, prompt_logprobs=request.echo and request.logprobs is not None
        )
        echo = None
        if request.echo:
            echo = request.prompt if isinstance(request.prompt, str) and not dropped else ""
        builders = [
            AnswerBuilder(self._tokenizer, StopStrings(request.stop), dropped=dropped) for _ in range(request.n)
        ]
        grammar = self._plain_grammar.text(request.format)
        return self._begin(replace(asked, **terms), listener, request.max_tokens, builders, grammar, echo)

    def _reader(self, tools: Sequence[Tool], parallel: bool, required: bool, thinking: bool) -> AnswerReader:
        thoughts = ThoughtReader(*self._thought, begun=thinking) if self._thought else None
        if not tools:
            return AnswerReader(thoughts)
        names = frozenset(tool.name for tool in tools)
        most = 0 if parallel else 1
        return AnswerReader(thoughts, ToolCallReader(self._dialect, names, new_call_id, most, only=required))

    def _asked(
        self,
        prompt: Sequence[int],
        max_tokens: int | None,
        sampling: Sampling | None,
        logprobs: int | None,
        strengths: Mapping[str, float],
    ) -> Request:
        stop_ids = self._tokenizer.stop_ids if self._tokenizer else frozenset[int]()
        most = 1 if max_tokens == 0 else max_tokens  # the engine is asked for one token at least
        numbers = self._adapters.numbers(strengths)
        return Request(tuple(prompt), most, sampling or Sampling(), stop_ids, logprobs=logprobs, strengths=numbers)

    def _begin(
        self,
        asked: Request,
        listener: Listener | None,
        limit: int | None,
        builders: Sequence[AnswerBuilder],
        grammar: str | None = None,
        echo: str | None = None,
    ) -> Answer:
        """One choice for each builder; their seeds follow one another."""
        seed = asked.sampling.seed
        choices: list[EngineChoice] = []
        sources = self._constraints(grammar, len(builders))
        try:
            for number, (builder, source) in enumerate(zip(builders, sources, strict=True)):
                own = asked.sampling if seed is None else replace(asked.sampling, seed=seed + number)
                handle = self._engine.submit(replace(asked, sampling=own, constraint=source), listener)
                choices.append(EngineChoice(handle, builder, limit, echo))
        except GadflyError:
            Answer(choices).cancel()
            raise
        return Answer(choices)

    def _constraints(self, grammar: str | None, count: int) -> Sequence[ConstraintSource | None]:
        """Constraints whose building is done: the engine is not kept waiting by it."""
        if grammar is None:
            return [None] * count
        if self._tokenizer is None:
            raise RequestError(f"{self._prompts.name} has no tokenizer, so its answers cannot be held to a format")
        if self._grammars is None:
            from gadfly.text.grammar import Grammars  # with a library that takes 20 ms to import

            self._grammars = Grammars(self._tokenizer, self._engine.vocab)
        return [partial(_itself, made) for made in self._grammars.constraints(grammar, count)]

    def _unthinking(self, messages: Sequence[Message], request: ChatRequest) -> str:
        """What ends the thought that the template begins, so that an answer can begin with a text; else nothing."""
        if self._thought is None or not self._thinking(self._prompts.ids(messages, (), request.template_variables)):
            return ""
        return f"\n{self._thought[1]}\n\n"

    def _thinking(self, prompt: Sequence[int]) -> bool:
        """Whether the prompt ends within a thought, because the template has begun one."""
        if self._tokenizer is None or self._thought is None:
            return False
        end = "".join(
            self._marks.get(token) or self._tokenizer.token_bytes(token).decode(errors="replace")
            for token in prompt[-BEGINNING:]
        )
        return end.rstrip().endswith(self._thought[0])


def _checked(request: ChatRequest | TextRequest) -> None:
    if isinstance(request.n, bool) or not isinstance(request.n, int) or not 1 <= request.n <= MOST_CHOICES:
        raise RequestError(f"n is {request.n!r}; from 1 to {MOST_CHOICES} answers are given to one request")
    if isinstance(request, ChatRequest) and not request.messages:
        raise RequestError("there are no messages; a conversation needs at least one")
    if isinstance(request, ChatRequest) and len(request.tools) > MOST_TOOLS:
        raise RequestError(f"there are {len(request.tools)} tools; at most {MOST_TOOLS} are taken")


def _callable(tools: Sequence[Tool], choice: ToolChoice) -> Sequence[Tool]:
    """The tools that may be called. Raises RequestError if there have to be some that there are not."""
    found = [tool for tool in tools if choice.name in (None, tool.name)]
    if choice.name is not None and not found and choice.mode != "none":
        raise RequestError(f"the tool {choice.name!r} is to be called, but it is not among the tools of the request")
    if choice.mode == "required" and not found:
        raise RequestError("a tool has to be called, but the request has none")
    return found


def _itself(made: "GrammarConstraint") -> "GrammarConstraint":
    return made
