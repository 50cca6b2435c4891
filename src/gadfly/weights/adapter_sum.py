"""Several adapters as one that adds up to the same: factors lie side by side, so nothing is lost and ranks add up.

    down = [down_1; down_2; …]  (ranks, in)        up = [w_1 s_1 up_1, w_2 s_2 up_2, …]  (out, ranks)        scale 1

w are the strengths that they are taken at, s their own scales.
"""

from collections.abc import Sequence

import numpy as np

from gadfly.weights.adapter import Adapter, Pair

__all__ = ["summed"]


def summed(adapters: Sequence[tuple[Adapter, float]]) -> Adapter:
    """Of adapters of one model and their strengths. Where one changes nothing, its part of the factors is zero."""
    if len(adapters) == 1 and adapters[0][1] == 1:
        return adapters[0][0]
    pairs: dict[str, Pair] = {}
    for path in dict.fromkeys(path for adapter, _ in adapters for path in adapter.pairs):
        known = next(adapter.pairs[path] for adapter, _ in adapters if path in adapter.pairs)
        downs, ups = [], []
        for adapter, strength in adapters:
            pair = adapter.pairs.get(path)
            if pair is None:
                downs.append(np.zeros((*known.down.shape[:-2], adapter.rank, known.down.shape[-1]), np.float32))
                ups.append(np.zeros((*known.up.shape[:-1], adapter.rank), np.float32))
            else:
                downs.append(pair.down)
                ups.append(np.float32(strength * adapter.scale) * pair.up)
        pairs[path] = Pair(np.concatenate(downs, axis=-2), np.concatenate(ups, axis=-1))
    parts = [{"strength": strength, **adapter.facts} for adapter, strength in adapters]
    bases = {adapter.facts.get("base") for adapter, _ in adapters}
    base = {"base": bases.pop()} if len(bases) == 1 else {}
    return Adapter(pairs, 1.0, {"format": "gadfly-adapter", "version": 1, **base, "sum_of": parts})
