"""What a model needs, in each precision it could have, and whether a machine has that: pure functions over values.

A `Version` is a model with a format for every weight, whether its file is here, is published somewhere or is only
thought of. `needs` adds up what running it takes; `judge` holds that against a machine's memory. Bytes in memory are
not those of the file: a format without a kernel is held as another one (`Held`). How fast it would be:
`gadfly.evaluate.fit_speed`; what this machine is: `gadfly.evaluate.machine` and `fit_probe`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from gadfly.convert.mix import LOSSLESS, Mix
from gadfly.hub.recommend import comfortable
from gadfly.llm import STEP_TOKENS
from gadfly.model.cost import activation_bytes, matrices
from gadfly.quant import FORMATS
from gadfly.spec import ModelSpec
from gadfly.weight import Deferred, Int8, Joined, Packed, Plain, Quantised, Reordered, Stack, Weight
from gadfly.weights.export import OutTensor
from gadfly.weights.load import ModelFile

__all__ = [
    "FORMATS_TO_SHOW",
    "INT8",
    "Comfort",
    "Held",
    "Memory",
    "Needs",
    "Version",
    "best",
    "cache_bytes_per_token",
    "judge",
    "needs",
    "opened",
    "quantised",
]

Comfort = Literal["comfortable", "tight", "no"]

INT8 = LOSSLESS  # rows of int8 with bfloat16 scales, as Grok-1 was released: no format of blocks, so not in FORMATS
FORMATS_TO_SHOW = ("F16", INT8, "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q2_K")  # the most precise first

PROGRAM = 80_000_000  # bytes: Python, libraries, tokenizer


@dataclass(frozen=True)
class Held:
    """How a format is held in memory: by which kernel's layout, in how many bytes per weight."""

    kernel: str
    bytes_per_weight: float


@dataclass(frozen=True)
class Memory:
    """Bytes that a process can have here, and how many of them nobody else uses now."""

    total: int
    available: int

    @property
    def in_use(self) -> int:
        """Bytes that others use, if that is worth a word: more than a quarter; else 0."""
        taken = self.total - self.available
        return taken if taken > self.total / 4 else 0


@dataclass(frozen=True)
class Version:
    """A model with a format for each of its weights, by path. `file` is bytes on disk."""

    name: str  # of the format that most of it has
    spec: ModelSpec
    formats: Mapping[str, str]  # without "output" if that is the embedding
    file: int

    def format_of(self, path: str) -> str:
        return self.formats.get(path) or self.formats["embedding"]


def quantised(spec: ModelSpec, tied: bool, name: str) -> Version:
    """The model in a format, with the mix of formats that `gadfly convert` makes of it."""
    shapes = {path: shape for path, shape in spec.shapes() if not (tied and path == "output")}
    mix = Mix("Q8_0" if name == INT8 else name, experts=any(len(shape) == 3 for shape in shapes.values()))
    formats = {path: mix.choose(OutTensor(path, path, shape, ())) for path, shape in shapes.items()}
    if name == INT8:
        formats = {path: chosen if chosen == "F32" else INT8 for path, chosen in formats.items()}
    return Version(name, spec, formats, sum(_file_bytes(formats[path], shape) for path, shape in shapes.items()))


def _file_bytes(name: str, shape: tuple[int, ...]) -> int:
    if name == INT8:
        return prod(shape) + 2 * prod(shape[:-1])
    return prod(shape[:-1]) * FORMATS[name].row_bytes(shape[-1])


def opened(file: ModelFile) -> Version:
    """The model of a file that is here."""
    weights = {path: file.weights[path] for path in file.weights}
    if weights["output"] is weights["embedding"]:
        del weights["output"]
    formats = {path: format_name(weight) for path, weight in weights.items()}
    sizes = dict.fromkeys(formats.values(), 0)
    for path, weight in weights.items():
        sizes[formats[path]] += weight.size
    return Version(max(sizes, key=lambda name: sizes[name]), file.spec, formats, sum(sizes.values()))


def format_name(weight: Weight) -> str:
    """What its numbers are in: a key of FORMATS, or INT8."""
    match weight:
        case Plain():
            return "F32"
        case Quantised():
            return weight.format
        case Int8():
            return INT8
        case Reordered():
            return format_name(weight.weight)
        case Joined() | Stack():
            return format_name(weight.parts[0])
        case Packed():
            return INT8 if weight.layout == "I8" else weight.layout
        case Deferred():
            return "BF16"  # as its size is reckoned


@dataclass(frozen=True)
class Needs:
    """Bytes of memory that running a model takes."""

    always: int  # weights that every token meets
    experts: int  # weights of experts
    cache_per_token: int  # keys and values of a position
    context: int  # positions, not bytes
    activations: int  # of the largest step
    program: int = PROGRAM

    @property
    def weights(self) -> int:
        return self.always + self.experts

    @property
    def cache(self) -> int:
        return self.cache_per_token * self.context

    @property
    def beside_weights(self) -> int:
        return self.cache + self.activations + self.program

    @property
    def total(self) -> int:
        return self.weights + self.beside_weights


def needs(version: Version, held: Mapping[str, Held], context: int) -> Needs:
    """What the model takes where formats are `held` so, for a cache of `context` positions."""
    spec = version.spec
    experts = {matrix.path for matrix in matrices(spec) if matrix.experts > 1}
    sizes = {True: 0.0, False: 0.0}
    shapes = dict(spec.shapes())
    for path, name in version.formats.items():
        sizes[path in experts] += prod(shapes[path]) * held[name].bytes_per_weight
    return Needs(
        always=round(sizes[False]),
        experts=round(sizes[True]),
        cache_per_token=cache_bytes_per_token(spec),
        context=context,
        activations=activation_bytes(spec, min(STEP_TOKENS, context)),
    )


def cache_bytes_per_token(spec: ModelSpec) -> int:
    """Keys are cached as half floats, values as int8 with a float32 scale for each head (native/runtime/cache.h)."""
    return sum(block.mixer.kv_heads * (3 * block.mixer.head_dim + 4) for block in spec.blocks)


def judge(wanted: Needs, memory: Memory) -> Comfort:
    """Comfortable leaves the machine to its user; tight leaves nothing."""
    if wanted.total > min(memory.total, memory.available):
        return "no"
    return "comfortable" if wanted.total <= comfortable(memory.total) else "tight"


def best(versions: Sequence[Version], fits: Callable[[Version], Comfort]) -> Version | None:
    """The most precise version that fits comfortably; else the smallest that fits; else None.

    Nothing above 8 bits is chosen: it would take twice the memory and time for a difference that nobody sees.
    """
    candidates = [version for version in versions if version.name not in ("F32", "F16", "BF16", INT8)]
    well = next((version for version in candidates if fits(version) == "comfortable"), None)
    return well or next((version for version in reversed(candidates) if fits(version) == "tight"), None)
