"""Routers for a mixture of characters, from what its layers see while the base reads what each of them is asked.

A token goes to the character whose prompts it resembles. In each layer the mean of what enters the feed-forward is
taken over the tokens of each character's text, and a router's row points from the mean of these means to it (as the
gate mode "hidden" of mergekit does). A router has no bias, so what all characters have in common would count for one of
them by chance: it is taken out of the rows. Their length is such that a token which is the mean of its
character's gets the logit MARGIN, and one which is the mean of all gets 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gadfly.convert.observe import observe, steps_of
from gadfly.errors import RequestError
from gadfly.ops import Floats
from gadfly.weights.load import ModelFile

__all__ = ["mean_inputs", "routers"]

MARGIN = 4.0
ALIKE = 1e-5  # of the length of a mean: less than that apart are means that differ by rounding

Means = NDArray[np.float64]


def mean_inputs(model: ModelFile, chunks: Sequence[Sequence[int]]) -> Means:
    """What enters the dense feed-forward of each layer, on average over all tokens: (layers, dim)."""
    sums = np.zeros((len(model.spec.blocks), model.spec.dim))

    def met(path: str, matrix: int, matrices: int, x: Floats) -> None:  # noqa: ARG001
        if path.endswith("ffn.gate"):
            sums[int(path.split(".")[1])] += x.sum(axis=0, dtype=np.float64)

    for step in steps_of(chunks):
        observe(model, step, met)
    return sums / sum(map(len, chunks))


def routers(names: Sequence[str], means: Sequence[Means]) -> list[Floats]:
    """Of each layer, (characters, dim), from the means of each character.

    Raises RequestError, with their names, for characters whose texts leave the same means.
    """
    return [_router(names, layer) for layer in np.stack(means, axis=1)]


def _router(names: Sequence[str], means: Means) -> Floats:
    common = means.mean(axis=0)
    apart = means - common
    apart -= np.outer(apart @ common, common) / max(float(common @ common), 1e-30)
    lengths = np.linalg.norm(apart, axis=1)
    close = int(lengths.argmin())
    if lengths[close] <= ALIKE * np.linalg.norm(common):
        raise RequestError(
            f"what {names[close]} is asked is too much like what the others are, so no router could tell when it is "
            "its turn; give each character prompts of its own"
        )
    return np.asarray(MARGIN * apart / lengths[:, None] ** 2, np.float32)
