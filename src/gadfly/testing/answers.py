"""A language model that answers from a script, in events: for tests of APIs and servers, which never see a token.

It takes requests as `gadfly.llm.LLM` does and remembers them. Answers are all there at once, unless the test holds them
back to look at one under way. What the engine does with real requests is tested with `gadfly.testing.models`.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gadfly.answer import Answer, Prompts
from gadfly.answer.adapters import Adapters
from gadfly.completion import Usage
from gadfly.conversation import (
    AnswerEvent,
    ChatRequest,
    EmbeddingRequest,
    Embeddings,
    Finished,
    Message,
    TextRequest,
    Tool,
)
from gadfly.engine import Counts
from gadfly.errors import ContextError
from gadfly.testing.models import ByteTokenizer, tiny_spec
from gadfly.text import ChatTemplate

__all__ = ["ScriptedAnswers"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
CANCELLED = Finished("cancelled", Usage(0, 0, 0, 0.0, 0.0))

Listener = Callable[[Any], None]
Script = Sequence[AnswerEvent | Exception]


class ScriptedChoice:
    """Gives out events, as many as its owner has let through; cut short by `cancel`. Its usage is that of its end."""

    fingerprint = None

    def __init__(self, events: Script, owner: "ScriptedAnswers", prompt: Sequence[int] = ()) -> None:
        self.prompt = prompt
        self.finished = False
        self.cancelled = False
        self.usage = next((event.usage for event in events if isinstance(event, Finished)), CANCELLED.usage)
        self._events = list(events)
        self._owner = owner

    def __iter__(self) -> Iterator[AnswerEvent]:
        while not self.finished:
            with self._owner.changed:
                while not (self._owner.open or self.cancelled):
                    self._owner.changed.wait()
            yield from self._next(1)

    def take(self) -> list[AnswerEvent]:
        return self._next(len(self._events)) if self._owner.open or self.cancelled else []

    def cancel(self) -> None:
        self.cancelled = True
        self._owner.notify()

    def _next(self, count: int) -> list[AnswerEvent]:
        if self.finished:
            return []
        if self.cancelled:
            self._events = [CANCELLED]
        given: list[AnswerEvent] = []
        while self._events and len(given) < count:
            event = self._events[0]
            if isinstance(event, Exception):
                if given:  # these first
                    break
                self.finished = True
                raise event
            given.append(event)
            del self._events[0]
        self.finished = not self._events
        return given


class ScriptedAnswers:
    """What a server sees of an `LLM`, which answers from a script: request after request the next, the last for ever.

    A script is the events of one choice, or an exception in place of any of them; all choices of a request have the
    same. `requests` are those that came, `terms` who asked and how long they would wait. `hold` keeps back what comes
    until `release`, so that a test can look at an answer under way. Prompts are written in ChatML over the
    `ByteTokenizer`; an embedding is `vector`.
    """

    def __init__(self, *scripts: Script, context: int = 4096, vector: Sequence[float] = (0.6, 0.8)) -> None:
        self.requests: list[ChatRequest | TextRequest | EmbeddingRequest] = []
        self.terms: list[Mapping[str, Any]] = []
        self.choices: list[ScriptedChoice] = []  # of all answers
        self.tokenizer = ByteTokenizer()
        self.context = context
        self.spec = tiny_spec()
        self.kernels = "scripted"
        self.has_template = True
        self.adapters = Adapters()
        self.open = True
        self.changed = threading.Condition()
        self.template = ChatTemplate(CHATML)
        self._prompts = Prompts("scripted", self.tokenizer, self.template)
        self._scripts = list(scripts)
        self._vector = tuple(vector)
        self._listeners: list[Callable[[], None]] = []
        self._drained = False

    def answer(self, request: ChatRequest, listener: Listener | None = None, **terms: Any) -> Answer:
        """The next script, whatever the request; a prompt that is too long or cannot be written is refused."""
        tokens = len(self.prompt_ids(request.messages, request.tools))
        if tokens >= self.context and not request.truncate:
            raise ContextError(f"the conversation takes {tokens} tokens, but the context holds {self.context}")
        return self._next(request, listener, terms)

    def complete(self, request: TextRequest, listener: Listener | None = None, **terms: Any) -> Answer:
        return self._next(request, listener, terms)

    def embed(self, request: EmbeddingRequest, **terms: Any) -> Embeddings:
        self.requests.append(request)
        self.terms.append(terms)
        tokens = sum(len(self._prompts.text_ids(one)) for one in request.inputs)
        return Embeddings((self._vector,) * len(request.inputs), tokens)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        return self._prompts.ids(messages, tools)

    def hold(self) -> None:
        self.open = False

    def release(self) -> None:
        self.open = True
        self.notify()

    def run(self) -> None:
        """Wait for `drain`, as a thread that computes would."""
        with self.changed:
            while not self._drained:
                self.changed.wait()

    def drain(self, seconds: float | None = None) -> None:  # noqa: ARG002
        for choice in self.choices:
            choice.cancel()
        self._drained = True
        self.notify()

    def reads(self) -> None:
        return None

    def counts(self) -> Counts:
        return Counts(running=sum(not choice.finished for choice in self.choices), generated_tokens=len(self.choices))

    def notify(self) -> None:
        """Wake whoever waits, and tell listeners."""
        with self.changed:
            self.changed.notify_all()
        for listener in tuple(self._listeners):
            listener()

    def _next(self, request: ChatRequest | TextRequest, listener: Listener | None, terms: Mapping[str, Any]) -> Answer:
        self.requests.append(request)
        self.terms.append(terms)
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        prompt = self.prompt_ids(request.messages, request.tools) if isinstance(request, ChatRequest) else ()
        choices = [ScriptedChoice(script, self, prompt) for _ in range(request.n)]
        self.choices += choices
        if listener is not None:
            self._listeners.append(partial(listener, None))
            listener(None)
        return Answer(choices)
