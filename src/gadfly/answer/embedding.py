"""Vectors for an `EmbeddingRequest`: texts become ids, and are refused or cut where there are too many.

How a vector is made of ids is `gadfly.engine.embedder`'s affair.
"""

from collections.abc import Callable, Sequence
from threading import Lock

from gadfly.answer.prompt import Prompts
from gadfly.conversation import EmbeddingRequest, Embeddings
from gadfly.engine import Embedder, Request
from gadfly.errors import ContextError, RequestError

__all__ = ["Embedding"]


class Embedding:
    """Of one model with a `vocab` and a `context`. `make` is called for the first request: most models have none.

    `ending` is an id that texts end with, whose vector some models were trained to make that of the whole.
    """

    def __init__(
        self, prompts: Prompts, vocab: int, context: int, ending: int | None, make: Callable[[], Embedder]
    ) -> None:
        self._prompts = prompts
        self._vocab = vocab
        self._context = context
        self._ending = ending
        self._make = make
        self._embedder: Embedder | None = None
        self._turn = Lock()

    def embed(self, request: EmbeddingRequest) -> Embeddings:
        """See `LLM.embed`."""
        if not request.inputs:
            raise RequestError("there are no inputs; an embedding needs at least one")
        sequences = [self._ids(one, request.truncate) for one in request.inputs]
        with self._turn:
            if self._embedder is None:
                self._embedder = self._make()
            vectors = self._embedder.embed(sequences)
        return Embeddings(vectors.tolist(), sum(map(len, sequences)))

    def _ids(self, text: str | Sequence[int], truncate: bool) -> list[int]:
        ids = self._prompts.text_ids(text)
        if isinstance(text, str) and self._ending is not None:
            ids.append(self._ending)
        if len(ids) > self._context and not truncate:
            raise ContextError(
                f"an input has {len(ids)} tokens, but the context holds {self._context}; shorten it by "
                f"{len(ids) - self._context} tokens or have it truncated"
            )
        ids = ids[: self._context]
        Request(tuple(ids)).validate(self._vocab, self._context + 1)
        return ids
