"""What a model costs, from its spec alone: the one place that counts, used by whoever predicts or judges speed."""

import math
from dataclasses import dataclass

from gadfly.spec import ModelSpec

__all__ = ["Cost"]


@dataclass(frozen=True)
class Cost:
    """`parameters` counts a tied embedding once. Per token: multiply-adds count as two operations."""

    parameters: int
    matrix_parameters: int  # that a token is multiplied with
    kv_values_per_token: int  # numbers that a cached position holds
    flops_per_token: int  # without attention over earlier positions
    attention_flops_per_position: int  # more per token and per earlier position it attends to

    @classmethod
    def of(cls, spec: ModelSpec, tied: bool) -> "Cost":
        shapes = dict(spec.shapes())
        if tied:
            del shapes["embedding"]
        matrices = sum(math.prod(s) for path, s in shapes.items() if len(s) == 2 and path != "embedding")
        mixers = [block.mixer for block in spec.blocks]
        return cls(
            parameters=sum(math.prod(shape) for shape in shapes.values()),
            matrix_parameters=matrices,
            kv_values_per_token=sum(2 * mixer.kv_heads * mixer.head_dim for mixer in mixers),
            flops_per_token=2 * matrices,
            attention_flops_per_position=sum(4 * mixer.heads * mixer.head_dim for mixer in mixers),
        )
