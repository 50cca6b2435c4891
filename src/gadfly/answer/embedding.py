"""Vectors for an `EmbeddingRequest`: texts become ids, and are refused or cut where there are too many.

How a vector is made of ids is `gadfly.engine.embedder`'s affair.
"""

from collections.abc import Sequence
from typing import Any

from gadfly.answer.adapters import Adapters
from gadfly.answer.prompt import Prompts
from gadfly.conversation import EmbeddingRequest, Embeddings
from gadfly.engine import Embedder, Request
from gadfly.errors import ContextError, RequestError

__all__ = ["Embedding"]


class Embedding:
    """Of one model with a `vocab` and a `context`.

    `ending` is an id that texts end with, whose vector some models were trained to make that of the whole.
    """

    def __init__(
        self,
        prompts: Prompts,
        vocab: int,
        context: int,
        ending: int | None,
        embedder: Embedder,
        adapters: Adapters | None = None,
    ) -> None:
        self._prompts = prompts
        self._vocab = vocab
        self._context = context
        self._ending = ending
        self._embedder = embedder
        self._adapters = adapters or Adapters()

    def embed(self, request: EmbeddingRequest, **terms: Any) -> Embeddings:
        """See `LLM.embed`; `terms` are those of `Embedder.embed`."""
        if not request.inputs:
            raise RequestError("there are no inputs; an embedding needs at least one")
        sequences = [self._ids(one, request.truncate) for one in request.inputs]
        strengths = self._adapters.numbers(self._adapters.strengths(request.adapters))
        vectors = self._embedder.embed(sequences, strengths=strengths, **terms)
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
