"""How fast a model would be on a machine: a step's time out of the speeds that were measured. Pure functions.

    a step of n tokens =   Σ over matrices  max(bytes read / bandwidth of the kernel, operations / rate of the kernel)
                         + layers · what a layer costs beside its matrices
                         + n · elements of a layer · what an element costs
                         + n · earlier positions · what attending to one costs

Writing an answer is steps of one token, bound by memory; reading a prompt is steps of many, bound by arithmetic. Where
experts do not fit into memory, those that are missing are read from disk, which then is nearly all that matters. How
many are missing follows from how closely routers cling to few of them, which is known where the model has run.
Where the speeds come from: `gadfly.evaluate.fit_probe`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gadfly.evaluate.fit import Held, Needs, Version
from gadfly.llm import STEP_TOKENS
from gadfly.model.cost import activation_bytes, expected_experts, hidden_width, matrices
from gadfly.spec import ModelSpec
from gadfly.weights.clinging import found
from gadfly.weights.streamed import FEWEST, STEPS, WRITING

__all__ = [
    "Kernel",
    "Prediction",
    "Speeds",
    "Streamed",
    "attention_operations",
    "layer_elements",
    "matrix_seconds",
    "predict",
    "step_seconds",
    "stream",
]

Times = Mapping[str, "Kernel"]


@dataclass(frozen=True)
class Kernel:
    """Matrices of one layout: bytes per second with a token at a time, operations per second with many."""

    reads: float
    computes: float


@dataclass(frozen=True)
class Speeds:
    """What was measured, with so many threads. Seconds, unless it says otherwise."""

    threads: int
    read_bandwidth: float  # bytes per second, of memory
    kernels: Times
    layer: float  # of a step, beside matrices and elements
    element: float  # of a token, see `layer_elements`
    attention_alone: float  # per operation, with one token at a time
    attention_together: float  # per operation, with many
    disk: float | None = None  # bytes per second, past the system's cache


@dataclass(frozen=True)
class Prediction:
    """Tokens per second."""

    prefill: float
    decode: float
    prompt: int  # tokens that are read, and after which is written
    bound: str  # what decoding waits for: "memory" or "arithmetic and overhead"


def predict(version: Version, held: Mapping[str, Held], speeds: Speeds, prompt: int = 512) -> Prediction:
    """For a model that is in memory, alone: a prompt of so many tokens, then tokens one by one."""
    reading, done = 0.0, 0
    while done < prompt:
        tokens = min(STEP_TOKENS, prompt - done)
        reading += step_seconds(version, held, speeds, tokens, done)
        done += tokens
    writing = step_seconds(version, held, speeds, 1, prompt)
    memory = matrix_seconds(version, held, speeds.kernels, 1) > writing / 2
    return Prediction(prompt / reading, 1 / writing, prompt, "memory" if memory else "arithmetic and overhead")


def step_seconds(version: Version, held: Mapping[str, Held], speeds: Speeds, tokens: int, position: int) -> float:
    """A step of so many tokens of one sequence, the first of them at `position`."""
    spec = version.spec
    attention = speeds.attention_alone if tokens == 1 else speeds.attention_together
    return (
        matrix_seconds(version, held, speeds.kernels, tokens)
        + len(spec.blocks) * speeds.layer
        + tokens * layer_elements(spec) * speeds.element
        + attention_operations(spec, tokens, position) * attention
    )


def matrix_seconds(version: Version, held: Mapping[str, Held], kernels: Times, tokens: int) -> float:
    """Every matrix once; only the last token's logits are wanted."""
    seconds = 0.0
    for matrix in matrices(version.spec):
        holding = held[version.format_of(matrix.path)]
        kernel = kernels[holding.kernel]
        rows = 1 if matrix.path == "output" else tokens
        read = matrix.touched(rows) * holding.bytes_per_weight / kernel.reads
        seconds += max(read, 2 * rows * matrix.per_token / kernel.computes)
    return seconds


def layer_elements(spec: ModelSpec) -> int:
    """Numbers per token that are not products of matrices but normalised, turned, activated, rounded or added."""
    return sum(
        6 * spec.dim + (block.mixer.heads + block.mixer.kv_heads) * block.mixer.head_dim + 3 * hidden_width(block.ffn)
        for block in spec.blocks
    )


def attention_operations(spec: ModelSpec, tokens: int, position: int) -> int:
    """Of `tokens` tokens from `position` on, each of which attends to all positions up to its own that it can see."""
    reach = range(position + 1, position + tokens + 1)
    layers = Counter(block.mixer for block in spec.blocks)
    return sum(
        count * 4 * mixer.heads * mixer.head_dim * sum(min(seen, mixer.window or seen) for seen in reach)
        for mixer, count in layers.items()
    )


@dataclass(frozen=True)
class Streamed:
    """A model whose experts are partly on disk. Tokens per second; bytes per token."""

    resident: float  # share of the experts that has room in memory
    found: float  # there, of what a token wants
    read_per_token: float  # from disk
    prefill: float
    decode: float
    decode_many: float  # all of `many` sequences together
    many: int


def stream(
    wanted: Needs,
    room: int,
    spec: ModelSpec,
    disk: float,
    prefill: float,
    decode: float,
    clinging: Sequence[float] = (),
    many: int = 16,
) -> Streamed | None:
    """With `room` bytes of memory and a disk of `disk` bytes per second.

    Routers choose evenly, but for a token alone if it is known how they cling to few: `gadfly.weights.clinging`.

    `prefill` and `decode` are the speeds with everything in memory. Experts are computed while others are read; what
    every token meets is computed between. A token's experts are in memory as often as there is room for them, beside
    the buffers of its step: `gadfly.weights.streamed`. None where not even the weights that every token meets and
    a few experts have room, or there are no experts.
    """
    left = room - wanted.beside_weights - wanted.always
    ffn = next((matrix for matrix in matrices(spec) if matrix.experts > 1), None)
    if ffn is None:
        return None
    left += wanted.activations  # which experts lend to a step, and have again afterwards
    each = wanted.experts / ffn.experts  # bytes of one expert of every layer
    fewest = FEWEST * each / len(spec.blocks)
    step = next((tokens for tokens in STEPS if activation_bytes(spec, tokens) + fewest <= left), None)
    if step is None:
        return None
    chosen = {tokens: each * expected_experts(ffn.experts, ffn.selected, tokens) for tokens in (1, many, step)}
    share = chosen[1] / (chosen[1] + wanted.always)  # of the bytes that a token meets, and so of its time

    def resident(tokens: int) -> float:
        return min(max(0, left - activation_bytes(spec, max(tokens, WRITING))) / wanted.experts, 1.0)

    def missing(tokens: int) -> float:
        if tokens > 1 or not clinging:
            return 1 - resident(tokens)
        return 1 - found(clinging, max(0, resident(1) - each / len(spec.blocks) / wanted.experts))  # one passes through

    def seconds(tokens: int, computing: float) -> float:
        return max(missing(tokens) * chosen[tokens] / disk, share * computing) + (1 - share) * computing

    return Streamed(
        resident=resident(1),
        found=1 - missing(1),
        read_per_token=missing(1) * chosen[1],
        prefill=step / seconds(step, step / prefill),
        decode=1 / seconds(1, 1 / decode),
        decode_many=many / seconds(many, 1 / decode),
        many=many,
    )
