"""Models that run elsewhere, on the shelf beside our own: what the server sees of them is what it sees of an `LLM`."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gadfly.answer import Answer
from gadfly.answer.adapters import Adapters
from gadfly.answer.prompt import spoken
from gadfly.api.model_card import ModelCard
from gadfly.api.openai_upstream import ChatReader, CompletionReader, write_chat, write_completion, write_count
from gadfly.chat.persona import load_persona
from gadfly.conversation import ChatRequest, EmbeddingRequest, Embeddings, Message, TextRequest, Tool
from gadfly.engine import Cancellation, Counts
from gadfly.errors import NotFoundError, UnsupportedError
from gadfly.hub.progress import Progress
from gadfly.server.model import Model, Shelf
from gadfly.server.remote_choice import RemoteChoice
from gadfly.server.upstream import Pool

__all__ = ["RemoteModel", "RemoteShelf"]


class RemoteModel:
    """A model of `pool`. What it is made of is not known here."""

    tokenizer = None
    spec = None
    has_template = True
    template = None
    kernels = ""
    adapters = Adapters()  # which it has there is not known here

    def __init__(self, card: ModelCard, pool: Pool) -> None:
        self.context = card.context
        self._name = card.name
        self._pool = pool
        self._choices: list[RemoteChoice] = []
        self._drained = threading.Event()
        self._answers = 0

    def answer(self, request: ChatRequest, listener: Callable[[Any], None] | None = None, **_: Any) -> Answer:
        """Like `LLM.answer`; a persona is put in front on this side. Turns and deadlines are the upstream's affair."""
        if request.persona is not None or request.wit is not None:
            persona = load_persona(request.persona or "gadfly")
            request = replace(
                request,
                messages=tuple(spoken(persona, 0.5 if request.wit is None else request.wit, request.messages)),
                sampling=request.sampling or persona.sampling,
                stop=(*request.stop, *persona.stop),
            )
        if request.prefix:
            raise UnsupportedError(f"{self._name} runs elsewhere, where an answer cannot be made to begin with a text")
        body = write_chat(request, self._name)
        return self._ask("/v1/chat/completions", body, ChatReader(request.n), request.n, listener)

    def complete(self, request: TextRequest, listener: Callable[[Any], None] | None = None, **_: Any) -> Answer:
        """Like `LLM.complete`."""
        body = write_completion(request, self._name)
        return self._ask("/v1/completions", body, CompletionReader(request.n), request.n, listener)

    def embed(self, request: EmbeddingRequest, cancellation: Cancellation | None = None, **_: Any) -> Embeddings:
        """Like `LLM.embed`, but that vectors are as long as the upstream makes them."""
        inputs = [one if isinstance(one, str) else list(one) for one in request.inputs]
        body = {"model": self._name, "input": inputs, "encoding_format": "float"}
        if request.truncate:
            body["truncation"] = "auto"
        return self._pool.post(self._name, "/v1/embeddings", body, _embeddings, cancellation)

    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """Like `LLM.prompt_ids`. Raises UnsupportedError if the upstream has no /tokenize for conversations."""
        try:
            return self._pool.post(self._name, "/tokenize", write_count(messages, tools, self._name), _tokens)
        except NotFoundError:
            raise UnsupportedError(f"{self._name} runs elsewhere, where tokens of prompts are not told") from None

    def run(self) -> None:
        """Nothing is computed here: wait for `drain`."""
        self._drained.wait()

    def drain(self, seconds: float | None = None) -> None:  # noqa: ARG002
        """Give up what is under way."""
        for choice in self._choices:
            choice.cancel()
        self._drained.set()

    def reads(self) -> None:
        return None

    def counts(self) -> Counts:
        self._choices = [choice for choice in self._choices if not choice.finished]
        return Counts(running=len(self._choices), finished=self._answers - len(self._choices))

    def _ask(
        self, path: str, body: Mapping[str, Any], reader: Any, n: int, listener: Callable[[Any], None] | None
    ) -> Answer:
        choices = self._pool.ask(self._name, path, body, reader, n, listener or (lambda _: None))
        self._choices = [*(choice for choice in self._choices if not choice.finished), *choices]
        self._answers += n
        return Answer(choices)


def _embeddings(answer: Any) -> Embeddings:
    return Embeddings([each["embedding"] for each in answer["data"]], int(answer["usage"]["prompt_tokens"]))


def _tokens(answer: Any) -> list[int]:
    return list(map(int, answer["tokens"]))


class RemoteShelf:
    """The models of `pool`, and of `own` those that it does not have."""

    def __init__(self, pool: Pool, own: Shelf | None = None) -> None:
        self._pool = pool
        self._own = own

    def list(self) -> Sequence[ModelCard]:
        own = {card.name: card for card in (self._own.list() if self._own else ())}
        return tuple({**own, **self._pool.models()}.values())

    def load(self, model: ModelCard, progress: Progress) -> Model:
        if model.name in self._pool.models() or self._own is None:
            return RemoteModel(model, self._pool)
        return self._own.load(model, progress)

    def room(self) -> int:
        return self._own.room() if self._own else 2**62
