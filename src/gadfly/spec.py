"""What a model is, as frozen values: no weights, no names of architectures, no behaviour.

Sum types instead of flags: layers that differ are different elements of `ModelSpec.blocks`, and code that runs a
spec matches on the type. A field exists only because an architecture needs it and a parity test fails without it.
Where specs come from: `gadfly.arch`. Where they are run: `gadfly.model.transformer`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Activation", "Attention", "Block", "Dense", "FeedForward", "ModelSpec", "PreNorm", "Rope"]

Activation = Literal["silu", "gelu"]  # gelu: the tanh approximation


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding of the first `dim` components of each head, pairing component j with j + dim/2.

    Pair j turns by position · theta^(-2j/dim) / scaling[j]; an empty `scaling` divides by one.
    Source: Su et al., arXiv 2104.09864; half-split pairing as in GPT-NeoX.
    """

    dim: int
    theta: float
    scaling: tuple[float, ...] = ()

    def frequencies(self) -> tuple[float, ...]:
        """Radians per position of each of the dim/2 pairs."""
        plain = (self.theta ** (-2 * j / self.dim) for j in range(self.dim // 2))
        return tuple(f / s for f, s in zip(plain, self.scaling or (1.0,) * (self.dim // 2), strict=True))


@dataclass(frozen=True)
class Attention:
    """Causal grouped-query attention; query head j reads key/value head j // (heads / kv_heads)."""

    heads: int
    kv_heads: int
    head_dim: int
    rope: Rope
    scale: float  # multiplies q·k


@dataclass(frozen=True)
class Dense:
    """down(activation(gate x) · up x)."""

    hidden: int
    activation: Activation


FeedForward = Dense


@dataclass(frozen=True)
class PreNorm:
    """RMS normalisation of what enters the mixer and of what enters the feed-forward."""

    eps: float


@dataclass(frozen=True)
class Block:
    """One layer: x += mixer(norm x); x += ffn(norm x)."""

    mixer: Attention
    ffn: FeedForward
    norms: PreNorm


@dataclass(frozen=True)
class ModelSpec:
    """A decoder-only transformer. `context` is the number of positions it was made for."""

    vocab: int
    dim: int
    context: int
    blocks: tuple[Block, ...]
    norm_eps: float  # of the norm before the logits

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Path and shape of every weight, matrices as (out, in). A model may tie "output" to "embedding"."""
        yield "embedding", (self.vocab, self.dim)
        yield "norm", (self.dim,)
        yield "output", (self.vocab, self.dim)
        for layer, block in enumerate(self.blocks):
            for path, shape in _block_shapes(block, self.dim):
                yield f"blocks.{layer}.{path}", shape


def _block_shapes(block: Block, dim: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    mixer, ffn = block.mixer, block.ffn
    yield "mixer_norm", (dim,)
    yield "mixer.query", (mixer.heads * mixer.head_dim, dim)
    yield "mixer.key", (mixer.kv_heads * mixer.head_dim, dim)
    yield "mixer.value", (mixer.kv_heads * mixer.head_dim, dim)
    yield "mixer.output", (dim, mixer.heads * mixer.head_dim)
    yield "ffn_norm", (dim,)
    yield "ffn.gate", (ffn.hidden, dim)
    yield "ffn.up", (ffn.hidden, dim)
    yield "ffn.down", (dim, ffn.hidden)
