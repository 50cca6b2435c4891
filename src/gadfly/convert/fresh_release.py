"""A new Grok-1 in the layout of xAI's release: int8 codes with bfloat16 scales, as fast as a disk takes them.

It is for measuring what reads such folders. Codes look like those of quantised normal numbers, but are not drawn one by
one: they are sums of two stretches of a pool, from places that are drawn for every piece. Two rows are alike only if
both places agree.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gadfly.arch.grok1 import RELEASE_NAMES, release_spec
from gadfly.arch.grok1_release import Hyperparameters, Layout, release_layout
from gadfly.convert.fresh import CHUNK, Advance, Counter
from gadfly.convert.initial import deviation, generator, normal, vector
from gadfly.errors import RequestError
from gadfly.hub.disk import size_of
from gadfly.quant import encode
from gadfly.spec import ModelSpec, MoE
from gadfly.weights.release_opcodes import ITEM_BYTES
from gadfly.weights.release_writer import Pieces, write_release

__all__ = ["release_hyperparameters", "write_fresh_release"]

PIECE = 2**22  # codes that are made together
POOL = 5 * PIECE + 1  # numbers, of which a sum has two
TOP = 63  # of a number in the pool
SPREAD = 23.0  # of the numbers there; a column's largest of some thousand is then near the largest int8
SLICES = 8  # into which the release cuts the input of `linear` and `linear_1`; each has a scale
UNEVEN = 0.1  # deviation of the logarithm of scales


def release_hyperparameters(spec: ModelSpec) -> Hyperparameters:
    """What the release says of a spec. Raises RequestError for one that it has no words for."""
    block = spec.blocks[0]
    mixer, moe = block.mixer, block.ffn
    if not isinstance(moe, MoE) or mixer.softcap is None:
        raise RequestError("--release is for --arch grok1")
    hyperparameters = Hyperparameters(
        vocab_size=spec.vocab,
        sequence_len=spec.context,
        emb_size=spec.dim,
        key_size=mixer.head_dim,
        num_q_heads=mixer.heads,
        num_kv_heads=mixer.kv_heads,
        num_layers=len(spec.blocks),
        widening_factor=1.5 * moe.hidden / spec.dim,
        num_experts=moe.experts,
        num_selected_experts=moe.selected,
        attn_output_multiplier=mixer.scale,
        embedding_multiplier_scale=spec.embedding_scale,
        output_multiplier_scale=spec.logit_scale,
        attn_logit_cap=mixer.softcap,
        rms_norm_eps=spec.norm_eps,
        rope_base=mixer.rope.theta,
        pad_token=0,
        eos_token=min(2, spec.vocab - 1),
    )
    if hyperparameters.ffn_size != moe.hidden:
        raise RequestError(f"--hidden is {moe.hidden}; the release has multiples of 8 only")
    if release_spec(hyperparameters) != spec:
        raise RequestError("--release is for --arch grok1")
    return hyperparameters


def write_fresh_release(folder: Path, hyperparameters: Hyperparameters, seed: int, advance: Advance) -> int:
    """Write `folder`, which must not exist yet or be empty: its bytes. Raises as `write_release`."""
    layout = release_layout(hyperparameters)
    counter = Counter(advance, sum(math.prod(tensor.shape) * ITEM_BYTES[tensor.kind] for tensor in layout))
    pool = _pool(seed)

    def content(tensor: Layout) -> Pieces | tuple[Pieces, NDArray[np.uint16]]:
        entry = RELEASE_NAMES.find(tensor.name)
        assert entry is not None
        path = entry.paths[0]
        if len(tensor.shape) == 1:
            return counter.count(vector(path, *tensor.shape))
        *_, inputs, outputs = tensor.shape
        shape = tensor.shape if path == "embedding" else (outputs, inputs)
        spread = deviation(path, shape, hyperparameters.num_layers)
        if tensor.kind == "float32":
            return _floats(tensor, spread, seed, counter)
        return _codes(tensor, pool, seed, counter), _scales(tensor, path, spread, seed)

    write_release(folder, hyperparameters, ((tensor.name, content(tensor)) for tensor in layout))
    return size_of(folder)


def _floats(tensor: Layout, spread: float, seed: int, counter: Counter) -> Iterator[NDArray[np.float32]]:
    size = math.prod(tensor.shape)
    for first in range(0, size, CHUNK):
        yield counter.count(normal(seed, tensor.name, first, min(first + CHUNK, size)) * np.float32(spread))


def _codes(tensor: Layout, pool: NDArray[np.int8], seed: int, counter: Counter) -> Iterator[NDArray[np.int8]]:
    size = math.prod(tensor.shape)
    for number, first in enumerate(range(0, size, PIECE)):
        count = min(PIECE, size - first)
        one, other = generator(seed, tensor.name, number).integers(POOL - PIECE, size=2)
        yield counter.count(pool[one : one + count] + pool[other : other + count])


def _scales(tensor: Layout, path: str, spread: float, seed: int) -> NDArray[np.uint16]:
    """Raw bfloat16 (…, groups, out), so that codes times scales are of this spread."""
    *experts, inputs, outputs = tensor.shape
    groups = SLICES if path.endswith(("mixer.output", ".down")) and inputs % SLICES == 0 else 1
    shape = (*experts, groups, outputs)
    drawn = normal(seed, f"{tensor.name} scales", 0, math.prod(shape))
    scales = np.exp(np.float32(UNEVEN) * drawn) * np.float32(spread / (math.sqrt(2) * SPREAD))
    return encode("BF16", scales.reshape(1, -1)).view(np.uint16).reshape(shape)


def _pool(seed: int) -> NDArray[np.int8]:
    numbers = normal(seed, "pool", 0, POOL)
    numbers *= np.float32(SPREAD)
    return np.rint(numbers, out=numbers).clip(-TOP, TOP, out=numbers).astype(np.int8)
