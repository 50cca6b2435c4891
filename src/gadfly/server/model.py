"""What a server needs of a model, and of where models come from: an `LLM` and the library, or engines elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gadfly.answer import Answer
from gadfly.answer.adapters import Adapters
from gadfly.api.model_card import ModelCard
from gadfly.completion import Reads
from gadfly.conversation import ChatRequest, EmbeddingRequest, Embeddings, Message, TextRequest, Tool
from gadfly.engine import Counts
from gadfly.hub.progress import Progress
from gadfly.spec import ModelSpec
from gadfly.text import ChatTemplate, Tokenizer

__all__ = ["Model", "Shelf"]


class Model(Protocol):
    """What a server needs of an `LLM`, which is the model here that has it all. See there."""

    @property
    def context(self) -> int: ...
    @property
    def kernels(self) -> str: ...
    @property
    def has_template(self) -> bool: ...
    @property
    def template(self) -> ChatTemplate | None: ...
    @property
    def spec(self) -> ModelSpec | None: ...
    @property
    def tokenizer(self) -> Tokenizer | None: ...
    @property
    def adapters(self) -> Adapters: ...
    def answer(self, request: ChatRequest, listener: Callable[[Any], None] | None = None, **terms: Any) -> Answer: ...
    def complete(self, request: TextRequest, listener: Callable[[Any], None] | None = None, **terms: Any) -> Answer: ...
    def embed(self, request: EmbeddingRequest, **terms: Any) -> Embeddings: ...
    def prompt_ids(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]: ...
    def run(self) -> None: ...
    def drain(self, seconds: float | None = None) -> None: ...
    def counts(self) -> Counts: ...
    def reads(self) -> Reads | None: ...


class Shelf(Protocol):
    """Where models come from."""

    def list(self) -> Sequence[ModelCard]:
        """All that can be asked for. Reads files: for other threads than that of the loop."""

    def load(self, model: ModelCard, progress: Progress) -> Model:
        """Called in a thread of its own, and takes as long as it takes. Raises GadflyError."""

    def room(self) -> int:
        """Bytes of memory that another model may take now."""
