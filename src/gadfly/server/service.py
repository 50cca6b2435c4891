"""What a running server has: one value that every route is handed, so that nothing is global."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from gadfly.api.model_card import ModelCard
from gadfly.completion import Usage
from gadfly.conversation import ChatRequest, EmbeddingRequest, Embeddings, TextRequest
from gadfly.engine import Cancellation
from gadfly.errors import RequestError
from gadfly.hub.library import Library
from gadfly.server.body import read_body
from gadfly.server.continuations import Continuations
from gadfly.server.limits import Limits
from gadfly.server.loaded import Loaded
from gadfly.server.metrics import Metrics
from gadfly.server.models import Models
from gadfly.server.record import Record
from gadfly.server.refusals import Refused
from gadfly.server.stream import unless_gone
from gadfly.server.workshop.workshop import Workshop

T = TypeVar("T")

__all__ = ["Service", "body_of", "owner_of", "service_of", "with_adapters", "workshop_of"]


@dataclass
class Service:
    """`library` None: models can be neither fetched nor removed here; `workshop` None: nor taught.

    `clock` tells seconds since 1970.
    """

    models: Models
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    library: Library | None = None
    offline: bool = False
    default_model: str | None = None
    workshop: Workshop | None = None
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._files = ThreadPoolExecutor(2, "gadfly-files")
        self.continuations = Continuations(self.limits.conversations, self.limits.conversation_bytes)

    def model_name(self, asked: str | None) -> str:
        """What was asked for, or the default. Raises RequestError if there is neither."""
        name = asked or self.default_model
        if name is None:
            raise RequestError("model is missing; GET /v1/models lists what there is", "model")
        return name

    async def with_files(self, work: Callable[[], T]) -> T:
        """What `work` returns, which moves files for minutes or hours: in one of two threads that do nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._files, work)

    async def embed(self, http: Request, asked: str | None, request: EmbeddingRequest) -> tuple[str, Embeddings]:
        """The vectors that a model makes of texts, and its name. Raises ClientDisconnect if nobody waits for them."""
        record, cancellation = Record.of(http.scope), Cancellation()
        name = self.model_name(asked)
        (request,) = with_adapters([request], await self.models.adapters(name))
        async with self.models.use(name) as loaded:
            record.model = loaded.name
            work = partial(loaded.llm.embed, request, client=record.client, cancellation=cancellation)
            thread = ThreadPoolExecutor(1, "gadfly-embed")  # of its own: it waits for the model as long as it takes
            try:
                made = await unless_gone(http.receive, asyncio.get_running_loop().run_in_executor(thread, work))
            finally:
                cancellation.cancel()
                thread.shutdown(wait=False)
        if made is None:
            raise ClientDisconnect
        record.usages = [Usage(made.tokens, 0, 0, 0.0, 0.0)]
        return loaded.name, made

    async def cards(self) -> list[ModelCard]:
        """Everything that can be asked for."""
        stocked = await self.models.stocked()
        loaded = {found.name: found for found in self.models.loaded}  # only now: any of them may have gone meanwhile
        return [_completed(card, loaded.get(card.name)) for card in stocked.values()]

    async def card(self, asked: str) -> ModelCard:
        """Raises NotFoundError."""
        name = await self.models.named(asked)
        return next(card for card in await self.cards() if card.name == name)


def _completed(card: ModelCard, loaded: Loaded | None) -> ModelCard:
    """With what is known once a model is loaded."""
    if loaded is None:
        return card
    llm = loaded.llm
    able = ("completion", "tools") if llm.has_template else ("completion",)
    return replace(
        card, context=llm.context, width=llm.spec.dim if llm.spec else 0, capabilities=able, adapters=llm.adapters.names
    )


R = TypeVar("R", ChatRequest, TextRequest, EmbeddingRequest, ChatRequest | TextRequest)


def with_adapters(requests: Sequence[R], named: Mapping[str, float]) -> Sequence[R]:
    """With the adapters that the name of the model asks for, where a request does not say how strong they are."""
    if not named:
        return requests
    return [replace(each, adapters={**named, **each.adapters}) for each in requests]


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def owner_of(request: Request) -> str:
    """Whose chats, files and jobs a request is about: the name of a key, or "" in a house that asks for none."""
    key = Record.of(request.scope).key
    return key.name if key else ""


def workshop_of(request: Request) -> Workshop:
    """Its workshop. Raises Refused if it has none."""
    workshop = service_of(request).workshop
    if workshop is None:
        raise Refused("forbidden", "models are not taught here: this server was started with --no-training")
    return workshop


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent, within the service's limits."""
    return await read_body(request, service_of(request).limits)
