"""What a model says that is being trained: the likeliest word after the other, so that the same model says the same.

Nothing here is random and nothing is learnt, so a run that is listened to goes on as one that is not, bit for bit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from gadfly.batch import Batch, Span
from gadfly.model.transformer import forward
from gadfly.text.tokenizer import Tokenizer
from gadfly.train.trainable import Trainable

__all__ = ["spoken_ids"]


def spoken_ids(prompts: Sequence[Sequence[int]], model: Trainable, tokenizer: Tokenizer, most: int) -> list[list[int]]:
    """What follows each of the prompts, which are answered together: up to the end of a turn, or `most` tokens.

    An adapter counts whole. Prompts may not be empty; what is beyond the context is not said.
    """
    said: list[list[int]] = [[] for _ in prompts]
    context = model.spec.context
    cache = model.backend.cache(model.spec, len(prompts), max(map(len, prompts), default=0) + most)  # a page for each
    new = {i: list(prompt) for i, prompt in enumerate(prompts) if len(prompt) < context}
    with torch.no_grad(), _one_thread():
        while new:
            spans = [
                Span(ids, len(prompts[i]) + len(said[i]) - 1 if said[i] else 0, (i,), (len(ids) - 1,), (1.0,))
                for i, ids in new.items()
            ]
            logits = forward(model.spec, model.weights, Batch.of(spans), model.backend, cache)
            likeliest = logits[:, : tokenizer.vocab_size].argmax(dim=-1).tolist()  # a table may have spare rows
            following = {i: id_ for i, id_ in zip(new, likeliest, strict=True) if id_ not in tokenizer.stop_ids}
            for i, id_ in following.items():
                said[i].append(id_)
            new = {
                i: [id_]
                for i, id_ in following.items()
                if len(said[i]) < most and len(prompts[i]) + len(said[i]) < context
            }
    return said


@contextmanager
def _one_thread() -> Iterator[None]:
    """A few rows at a time are read from memory as fast by one, and several wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
