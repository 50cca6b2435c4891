"""Which format each tensor gets: a quantisation is a mix, as not every weight matters equally.

Vectors and routers are tiny and stay float32. What leaves a feed-forward (`down`) and what attention adds up (`value`)
get more bits than the rest, as do the embedding and the output, which every token passes. In a mixture of experts,
attention is two per cent of the weights and gets six bits. Which widths a format cannot hold, one with smaller blocks
of about the same size takes over. To a size instead of a format: `gadfly.convert.budget`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gadfly.errors import RequestError
from gadfly.quant import FORMATS
from gadfly.weights.export import OutTensor

__all__ = ["LADDER", "LOSSLESS", "MIXES", "Mix", "fitting", "is_small"]

LADDER = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0")
LOSSLESS = "int8"  # Grok-1's own codes and scales
MIXES: Mapping[str, str] = {name.lower(): name for name in FORMATS}  # what a user types -> the format of most weights

# Where a row is no multiple of 256, or not even of 32.
NARROWER = {"Q2_K": "IQ4_NL", "Q3_K": "IQ4_NL", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}
NARROWEST = "F16"


def is_small(tensor: OutTensor) -> bool:
    """A vector or a router, which stay float32."""
    return len(tensor.shape) == 1 or tensor.path.endswith("router")


def fitting(format_name: str, columns: int) -> str:
    """The format, or the one that takes its place in rows of so many columns."""
    while columns % FORMATS[format_name].block_size:
        format_name = NARROWER.get(format_name, NARROWEST)
    return format_name


@dataclass(frozen=True)
class Mix:
    """`format` is that of most weights, `pure` gives it to all matrices, `experts` says what kind of model it is."""

    format: str
    pure: bool = False
    experts: bool = False

    @classmethod
    def named(cls, name: str, pure: bool = False, experts: bool = False) -> "Mix":
        """Raises RequestError for a name that is not in MIXES."""
        if name.lower() == LOSSLESS:
            raise RequestError(f"a GGUF file cannot hold {LOSSLESS}; give a folder as the target, or choose q8_0")
        if name.lower() not in MIXES:
            raise RequestError(f"there is no quantisation {name[:40]!r}; choose {', '.join(MIXES)}")
        return cls(MIXES[name.lower()], pure, experts)

    def choose(self, tensor: OutTensor) -> str:
        """A key of `gadfly.quant.FORMATS` that the tensor's rows can be held in."""
        return "F32" if is_small(tensor) else fitting(self._wanted(tensor.path), tensor.columns)

    def _wanted(self, path: str) -> str:
        if self.pure or FORMATS[self.format].block_size == 1 or self.format == "Q8_0":
            return self.format
        part = path.rpartition(".")[2]
        if part in ("embedding", "output") and "." not in path:
            return "Q6_K"
        if self.format not in LADDER:
            return self.format
        if ".mixer." in path and self.experts:
            return self._higher(2, at_least="Q6_K")
        return self._higher({"down": 1, "value": 2}.get(part, 0))

    def _higher(self, steps: int, at_least: str = LADDER[0]) -> str:
        """So many steps up the ladder, though not to eight bits unless more were asked for."""
        step = max(LADDER.index(self.format) + steps, LADDER.index(at_least))
        return LADDER[min(step, LADDER.index("Q6_K"))]
