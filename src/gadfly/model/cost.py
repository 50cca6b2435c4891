"""What a model costs, from its spec alone: the one place that counts, used by whoever predicts or judges speed.

A mixture of experts has two sizes: all of its numbers have to be somewhere, but a token is multiplied with those of its
own experts only, and a step of several tokens reads every expert that any of them goes to. What a number weighs in a
format is known in `gadfly.quant`; how fast machines are, in `gadfly.evaluate`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gadfly.spec import Dense, FeedForward, ModelSpec, MoE, Parallel

__all__ = ["Cost", "Matrix", "activation_bytes", "expected_experts", "hidden_width", "matrices"]

HIDDEN_TOKENS = 144  # whose hidden rows exist at a time, of a mixture that chooses two experts


def expected_experts(experts: int, selected: int, tokens: int) -> float:
    """How many different experts `tokens` tokens go to, if each chooses `selected` of them evenly at random."""
    return experts * (1 - (1 - selected / experts) ** tokens)


@dataclass(frozen=True)
class Matrix:
    """A weight that tokens are multiplied with: one matrix (rows, columns), or one for each expert."""

    path: str
    rows: int
    columns: int
    experts: int = 1
    selected: int = 1

    @property
    def parameters(self) -> int:
        return self.experts * self.rows * self.columns

    @property
    def per_token(self) -> int:
        """Parameters that a token is multiplied with."""
        return self.selected * self.rows * self.columns

    def touched(self, tokens: int) -> float:
        """Parameters that a step of so many tokens is expected to read."""
        return expected_experts(self.experts, self.selected, tokens) * self.rows * self.columns


def matrices(spec: ModelSpec) -> Iterator[Matrix]:
    """Every weight with rows and columns that a token meets, "output" included and "embedding" not."""
    selected = {f"blocks.{layer}.": _selected(block.ffn) for layer, block in enumerate(spec.blocks)}
    for path, shape in spec.shapes():
        match shape:
            case (rows, columns) if path != "embedding":
                yield Matrix(path, rows, columns)
            case (experts, rows, columns):
                block = path[: path.index(".", len("blocks.")) + 1]
                yield Matrix(path, rows, columns, experts, selected[block])


def _selected(ffn: FeedForward) -> int:
    """Of each stack of experts, how many a token goes to."""
    match ffn:
        case MoE():
            return ffn.selected
        case Parallel(_, moe):
            return moe.selected
        case Dense():
            return 1


@dataclass(frozen=True)
class Cost:
    """`parameters` counts a tied embedding once. Per token: multiply-adds count as two operations."""

    parameters: int
    active_parameters: int  # of them, all but those of experts that a token does not go to
    matrix_parameters: int  # that a token is multiplied with: of experts, those it goes to
    expert_parameters: int  # of all experts
    kv_values_per_token: int  # numbers that a cached position holds
    flops_per_token: int  # without attention over earlier positions
    attention_flops_per_position: int  # more per token and per earlier position it attends to

    @classmethod
    def of(cls, spec: ModelSpec, tied: bool) -> "Cost":
        shapes = dict(spec.shapes())
        if tied:
            del shapes["embedding"]
        met = list(matrices(spec))
        per_token = sum(matrix.per_token for matrix in met)
        mixers = [block.mixer for block in spec.blocks]
        parameters = sum(math.prod(shape) for shape in shapes.values())
        return cls(
            parameters=parameters,
            active_parameters=parameters - sum(matrix.parameters - matrix.per_token for matrix in met),
            matrix_parameters=per_token,
            expert_parameters=sum(matrix.parameters for matrix in met if matrix.experts > 1),
            kv_values_per_token=sum(2 * mixer.kv_heads * mixer.head_dim for mixer in mixers),
            flops_per_token=2 * per_token,
            attention_flops_per_position=sum(4 * mixer.heads * mixer.head_dim for mixer in mixers),
        )


def activation_bytes(spec: ModelSpec, tokens: int) -> int:
    """What a step of so many tokens of one sequence keeps in flight: rows of a layer in float32, most as int8 too.

    Experts take what they are dealt and what they make of it; their hidden rows exist for few tokens at a time.
    """
    widest = max(
        3 * spec.dim
        + 2 * (block.mixer.heads + block.mixer.kv_heads) * block.mixer.head_dim
        + _rows(block.ffn, spec.dim)
        for block in spec.blocks
    )
    hidden = max(hidden_width(block.ffn) for block in spec.blocks)
    return 5 * tokens * widest + 2 * min(tokens, HIDDEN_TOKENS) * hidden + 4 * spec.vocab


def _rows(ffn: FeedForward, dim: int) -> int:
    """Numbers that a token has in a feed-forward for the whole of a step."""
    match ffn:
        case Dense():
            return 3 * ffn.hidden
        case MoE():
            return 5 * ffn.selected * dim // 4
        case Parallel():
            return _rows(ffn.dense, dim) + _rows(ffn.moe, dim)


def hidden_width(ffn: FeedForward) -> int:
    """Columns of a token's hidden rows, over all experts it goes to."""
    match ffn:
        case Dense():
            return ffn.hidden
        case MoE():
            return ffn.selected * ffn.hidden
        case Parallel():
            return hidden_width(ffn.dense) + hidden_width(ffn.moe)
