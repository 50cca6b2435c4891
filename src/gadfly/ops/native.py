"""The native backend: records the forward pass once as a program of C++ kernels and replays it for every step.

Tensors are symbolic while recording: a `Buffer` says how wide a row is and whether there is one per token or one per
wanted token. When the recording ends, buffers whose values are no longer needed lend their memory to later ones, and
the program is fixed; a step is then one call without Python in it. The kernels and the runtime are in native/.

Weights of every format are multiplied as they are, rearranged for the vector unit. Activations meet integer weights as
int8 with one scale per 16. The matrices of attention are given the rounding error too, as a second int8: they are
small, and what they compute weighs much, as every later token reads it. So is the head, for the tokens that are wanted.

Int8 rows as Grok-1 was released are exact, and so is what they meet: all of them get that second int8, and as long as
no weight is in a format of blocks, the cache keeps values as half floats instead of int8. Either alone gains little.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gadfly._native import (
    Deal,
    ExpertStack,
    ExpertStore,
    PackedMatrix,
    PagedCache,
    Program,
    ThreadPool,
    UnreadableExpert,
    int8_row_bytes,
    kernel_names,
    packed_bytes,
)
from gadfly.batch import Batch
from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.ops import Floats, Ops
from gadfly.spec import Activation, Attention, ModelSpec, MoE, Rope
from gadfly.weight import (
    Deferred,
    Delta,
    Int8,
    Joined,
    LowRank,
    Matrix,
    Packed,
    Plain,
    Quantised,
    Reordered,
    Stack,
    Stored,
    Weight,
)

__all__ = ["Buffer", "Native", "Recording", "kernel_names", "layout_of", "packed_bytes"]

FLOATS = frozenset({"F32", "F16", "BF16"})
EXACT = FLOATS | {"I8"}  # layouts of weights that are kept without loss
IN_PLACE = frozenset(
    {"add", "gated", "scale", "shift", "softcap"}
)  # element by element: they may replace what they read
ROW_BY_ROW = IN_PLACE | {"angles", "embed", "quantise", "residual", "rms_norm", "rope", "store"}
GATHERING = frozenset({"combine", "select"})  # whose rows come from others, once those are done

Experts = list[PackedMatrix] | ExpertStack  # a matrix of every expert, in memory or on disk
Multiplied = PackedMatrix | ExpertStack
Placed = PackedMatrix | LowRank[Multiplied] | Experts | Floats  # the last is a vector
TILE = 32  # columns of a tile of integer weights
LINE = 64  # bytes of a cache line


class Native:
    """Backend with `threads` threads. `kernels` names an instruction set; by default the best this processor has."""

    def __init__(self, threads: int, kernels: str | None = None) -> None:
        self.kernels = kernels or kernel_names()[0]
        self.threads = threads
        self._lossless = True  # so far
        self._pool = ThreadPool(threads)

    def place(self, weight: Weight) -> Placed:
        """Vectors stay float32; matrices are packed into strips of eight rows, a stack of them one by one."""
        if isinstance(weight, Reordered | Joined | Packed):
            return self.pack(weight)
        if isinstance(weight, Deferred):
            return self.place(weight.load())
        if isinstance(weight, Stack) or len(weight.shape) == 3:
            return [self.pack(part) for part in weight.unstack()]
        if len(weight.shape) == 1:
            assert isinstance(weight, Plain)
            return np.array(weight.array, np.float32)
        return self.pack(weight)

    def pack(self, weight: Matrix) -> PackedMatrix:
        """In `layout_of` the weight."""
        match weight:
            case Packed():
                return self.adopt(weight, aligned(weight.packed))
            case Reordered() | Joined() | Deferred():
                return self.pack(weight.rows(slice(None)))
            case Plain(array):
                return pack_floats(self._pool, array)
            case Int8():
                return pack_int8(self._pool, weight)
            case Quantised(name, shape, blocks):
                self._lossless &= name in FLOATS
                return pack(self._pool, name, shape, blocks)

    def adopt(self, weight: Matrix, packed: NDArray[np.uint8]) -> PackedMatrix:
        """As `pack`, where read-only bytes, aligned to 64, hold what it makes of the weight already."""
        self._meet(weight)
        rows, columns = weight.shape
        return PackedMatrix.over(layout_of(weight), rows, columns, packed)

    def adapt(self, weight: Placed, deltas: Sequence[Delta[Floats]]) -> Placed:
        """Factors become half floats, of which every token has to read them all."""
        if isinstance(weight, list) or any(delta.down.ndim == 3 for delta in deltas):
            raise UnsupportedError(
                "the adapter changes experts, which is not done beside the model here; put it into the weights with "
                "gadfly convert --adapter, which takes away its dial"
            )
        assert isinstance(weight, PackedMatrix | ExpertStack)
        return LowRank(weight, tuple(self._halved(delta) for delta in deltas))

    def _halved(self, delta: Delta[Floats]) -> Delta[Multiplied]:
        """With largest numbers between a half and one, so that small ones keep their digits."""
        exponents = [int(np.frexp(np.abs(factor).max())[1]) for factor in (delta.down, delta.up)]
        down, up = (
            pack(self._pool, "F16", factor.shape, np.ldexp(factor, -exponent).astype(np.float16).view(np.uint8))
            for factor, exponent in zip((delta.down, delta.up), exponents, strict=True)
        )
        return Delta(delta.adapter, down, up, float(np.ldexp(delta.scale, sum(exponents))))

    def stored(
        self,
        weights: Sequence[Matrix],
        store: ExpertStore,
        pool: int,
        offsets: Sequence[int],
        files: Sequence[int],
        filed: bool = False,
    ) -> ExpertStack:
        """A matrix of each expert of a layer, or one alone, where the store's files hold what `pack` makes of them.

        If they are `filed`, they hold their rows as they are.
        """
        self._meet(weights[0])
        rows, columns = weights[0].shape
        return store.stack(pool, layout_of(weights[0]), rows, columns, offsets, files, filed)

    def _meet(self, weight: Matrix) -> None:
        self._lossless &= layout_of(weight) in EXACT

    def cache(self, spec: ModelSpec, pages: int, page_size: int) -> PagedCache:
        """For the weights placed so far: values are half floats if all are kept losslessly, otherwise int8."""
        heads = {(block.mixer.kv_heads, block.mixer.head_dim) for block in spec.blocks}
        if len(heads) > 1:
            raise UnsupportedError("layers differ in their key/value heads; use backend='reference'")
        kv_heads, head_dim = heads.pop()
        if head_dim % 8:
            raise UnsupportedError(f"a head of {head_dim} is no multiple of 8; use backend='reference'")
        return PagedCache(len(spec.blocks), pages, page_size, kv_heads, head_dim, self._lossless)

    def compile(self, forward: Callable[[Ops["Buffer", Placed, PagedCache], Batch], "Buffer"]) -> "Replay":
        recording = Recording()
        result = forward(recording, Batch.of([]))
        program, slot = recording.finish(result, self.kernels)
        return Replay(self._pool, program, slot, tuple(recording.deal_of.values()))


@dataclass(frozen=True, eq=False)
class Replay:
    """A recorded program: its result is left in `slot`, and `deals` of its mixtures count who went where."""

    pool: ThreadPool
    program: Program
    slot: int
    deals: tuple[Deal, ...]

    def __call__(self, batch: Batch) -> Floats:
        try:
            return self.program.run(
                self.pool,
                batch.tokens,
                batch.positions,
                batch.starts,
                batch.page_ids,
                batch.page_starts,
                batch.rows,
                batch.strengths,
                self.slot,
            )
        except UnreadableExpert as error:
            raise ModelFileError(f"{error}; check the disk, then ask again") from None

    def step_bytes(self, tokens: int, wanted: int) -> int:
        return self.program.step_bytes(tokens, wanted)

    def expert_use(self) -> list[list[int]]:
        return [list(deal.used) for deal in self.deals]


def stored_kind(weight: Matrix) -> Stored:
    """A weight of the kind that its rows are of."""
    match weight:
        case Reordered(inner):
            return stored_kind(inner)
        case Joined(parts):
            return parts[0]
        case Deferred():
            return stored_kind(weight.rows(slice(None)))
        case _:
            return weight


def layout_of(weight: Matrix) -> str:
    """The layout that a matrix is packed in."""
    if isinstance(weight, Packed):
        return weight.layout
    match stored_kind(weight):
        case Plain():
            return "F32"
        case Int8(codes, scales):
            return "F32" if codes.shape[0] // len(scales) % TILE else "I8"
        case Quantised(name):
            return name


def aligned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy that begins with a cache line, and is nobody's to write."""
    room = np.empty(data.size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    copy = room[first : first + data.size]
    copy[:] = data
    copy.flags.writeable = False
    return copy


def pack(pool: ThreadPool, layout: str, shape: tuple[int, ...], blocks: NDArray[np.uint8]) -> PackedMatrix:
    rows, columns = shape
    matrix = PackedMatrix(layout, rows, columns)
    matrix.fill(pool, 0, blocks)
    return matrix


def pack_floats(pool: ThreadPool, array: Floats) -> PackedMatrix:
    return pack(pool, "F32", array.shape, np.ascontiguousarray(array).view(np.uint8))


def pack_int8(pool: ThreadPool, weight: Int8) -> PackedMatrix:
    """As it is where a scale covers whole tiles; as exact float32, four times as large, where it does not."""
    columns, rows = weight.codes.shape
    if layout_of(weight) == "F32":
        return pack_floats(pool, weight.decode())
    matrix = PackedMatrix("I8", rows, columns)
    matrix.fill_transposed(
        pool, np.require(weight.codes, requirements=["C", "A"]), np.require(weight.scales, requirements=["C", "A"])
    )
    return matrix


@dataclass(frozen=True, eq=False)
class Buffer:
    """A tensor yet to be computed: rows of `row_bytes`, one per token of a step, or per wanted token."""

    row_bytes: int
    wanted: bool = False

    @property
    def width(self) -> int:
        """Columns, if they are float32."""
        return self.row_bytes // 4


@dataclass(frozen=True)
class Call:
    """An instruction: the program's method, its arguments with buffers among them, and the buffer it fills.

    Without one, it changes the last of its arguments that can be changed.
    """

    method: str
    args: tuple[Any, ...]
    out: Buffer | None

    @property
    def filled(self) -> Any:
        return self.out or next(arg for arg in reversed(self.args) if isinstance(arg, Buffer | Deal | PagedCache))


@dataclass
class Recording:
    """Ops that compute nothing but write down what is to be computed."""

    calls: list[Call] = field(default_factory=list)
    int8_of: dict[Buffer, Buffer] = field(default_factory=dict)
    residual_of: dict[Buffer, Buffer] = field(default_factory=dict)
    deal_of: dict[Buffer, Deal] = field(default_factory=dict)
    angles_of: dict[Rope, Buffer] = field(default_factory=dict)
    width: int = 0  # of a token

    def embed(self, table: Placed, batch: Batch) -> Buffer:  # noqa: ARG002 - the batch is known when the program runs
        assert isinstance(table, PackedMatrix)
        self.width = table.columns
        return self._call("embed", table, out=Buffer(4 * table.columns))

    def rms_norm(self, x: Buffer, weight: Placed, eps: float) -> Buffer:
        return self._call("rms_norm", x, weight, eps, out=Buffer(x.row_bytes, x.wanted))

    def project(self, x: Buffer, weight: Placed, batch: Batch) -> Buffer:  # noqa: ARG002
        if not isinstance(weight, LowRank):
            return self._linear(x, weight)
        y = self._linear(x, weight.base)
        for delta in weight.deltas:
            low = self._call("down", x, delta.down, delta.adapter, out=Buffer(4 * delta.down.rows, x.wanted))
            self.calls.append(Call("up", (low, delta.up, delta.adapter, delta.scale, y), None))
        return y

    def _linear(self, x: Buffer, weight: Placed) -> Buffer:
        assert isinstance(weight, PackedMatrix | ExpertStack)
        method = "linear" if isinstance(weight, PackedMatrix) else "stored_linear"
        return self._call(method, *self._factors(x, weight), weight, out=Buffer(4 * weight.rows, x.wanted))

    def rope(self, x: Buffer, rope: Rope, head_dim: int, batch: Batch) -> Buffer:  # noqa: ARG002
        if rope not in self.angles_of:
            self.angles_of[rope] = self._call(
                "angles", list(rope.frequencies()), rope.magnitude, out=Buffer(4 * rope.dim)
            )
        heads = x.width // head_dim
        return self._call("rope", x, self.angles_of[rope], heads, head_dim, rope.dim, out=Buffer(x.row_bytes))

    def attention(
        self,
        q: Buffer,
        k: Buffer,
        v: Buffer,
        spec: Attention,
        layer: int,
        kv: PagedCache,
        batch: Batch,  # noqa: ARG002
    ) -> Buffer:
        self.calls.append(Call("store", (k, v, kv, layer), None))
        scoring = spec.scale, spec.softcap or 0.0, spec.temperature or 0, spec.window or 0
        return self._call("attend", q, kv, layer, spec.heads, *scoring, out=Buffer(q.row_bytes))

    def gated(self, gate: Buffer, up: Buffer, activation: Activation) -> Buffer:
        return self._call("gated", gate, up, activation, out=Buffer(gate.row_bytes, gate.wanted))

    def route(self, x: Buffer, router: Placed, spec: MoE) -> Buffer:
        deal = Deal(spec.experts, spec.selected)
        logits = self._linear(x, router)
        if spec.router_softcap is not None:
            logits = self.softcap(logits, spec.router_softcap)
        self.calls.append(Call("route", (logits, spec.renormalised, deal), None))
        routing = Buffer(0)  # stands for the deal, which instructions are given instead
        self.deal_of[routing] = deal
        return routing

    def experts(
        self,
        x: Buffer,
        routing: Buffer,
        gate: Placed,
        up: Placed,
        down: Placed,
        spec: MoE,
        batch: Batch,  # noqa: ARG002
    ) -> Buffer:
        assert isinstance(gate, list | ExpertStack)
        assert isinstance(up, list | ExpertStack)
        assert isinstance(down, list | ExpertStack)
        deal, k = self.deal_of[routing], spec.selected
        dealt: dict[Buffer | None, Buffer | None] = {None: None}
        if isinstance(gate, ExpertStack):
            self.calls.append(Call("fetch", (deal, [gate, up, down]), None))

        def deal_out(stack: Experts) -> list[Buffer | None]:
            rows = self._factors(x, one_of(stack))
            for row in rows:
                if row is not None and row not in dealt:
                    dealt[row] = self._call("deal", row, deal, out=Buffer(k * row.row_bytes))
            return [dealt[row] for row in rows]

        factors = *deal_out(gate), *deal_out(up)
        precise = self._is_precise(one_of(down))
        results = Buffer(4 * k * one_of(down).rows)
        results = self._call("mixture", *factors, gate, up, down, precise, spec.activation, deal, out=results)
        return self._call("combine", results, deal, out=Buffer(4 * one_of(down).rows))

    def shift(self, x: Buffer, bias: Placed) -> Buffer:
        return self._call("shift", x, bias, out=Buffer(x.row_bytes, x.wanted))

    def softcap(self, x: Buffer, cap: float) -> Buffer:
        return self._call("softcap", x, cap, out=Buffer(x.row_bytes, x.wanted))

    def scale(self, x: Buffer, factor: float) -> Buffer:
        return self._call("scale", x, factor, out=Buffer(x.row_bytes, x.wanted))

    def add(self, x: Buffer, y: Buffer) -> Buffer:
        return self._call("add", x, y, out=Buffer(x.row_bytes, x.wanted))

    def select(self, x: Buffer, batch: Batch) -> Buffer:  # noqa: ARG002
        return self._call("select", x, out=Buffer(x.row_bytes, wanted=True))

    def finish(self, result: Buffer, kernels: str) -> tuple[Program, int]:
        """The program, and the slot in which it leaves `result`. Buffers share slots where their lifetimes allow."""
        program = Program(kernels)
        calls = in_waves(self.calls)
        last_use = {arg: i for i, call in enumerate(calls) for arg in call.args if isinstance(arg, Buffer)}
        slots: dict[Buffer, int] = {}
        free: dict[tuple[bool, int], list[int]] = {}
        if layers := [
            arg for call in calls if call.method == "stored_linear" for arg in call.args if isinstance(arg, ExpertStack)
        ]:
            program.fetch_layers(layers)
        for i, call in enumerate(calls):
            args = [slots[arg] if isinstance(arg, Buffer) else arg for arg in call.args]
            done = [arg for arg in _distinct_buffers(call.args) if last_use[arg] == i and arg is not result]
            if call.method in IN_PLACE:
                _lend(done, slots, free)
            if call.out is not None:
                idle = free.get(_kind(call.out))
                slots[call.out] = idle.pop() if idle else program.buffer(*_kind(call.out))
                args.append(slots[call.out])
            getattr(program, call.method)(*args)
            if call.method not in IN_PLACE:
                _lend(done, slots, free)
        return program, slots[result]

    def _call(self, method: str, *args: Any, out: Buffer) -> Buffer:
        self.calls.append(Call(method, args, out))
        return out

    def _factors(self, x: Buffer, weight: PackedMatrix | ExpertStack) -> tuple[Buffer, Buffer | None]:
        """What `weight` is multiplied with: x itself, or its int8 form and perhaps what that leaves out.

        The latter where it costs little and errors tell most: in attention, whose matrices are no larger than a token
        is wide, and at the very end, for wanted tokens alone.
        """
        if weight.is_float:
            return x, None
        return self._int8(x), self._residual(x) if x.wanted or self._is_precise(weight) else None

    def _is_precise(self, weight: PackedMatrix | ExpertStack) -> bool:
        """Whether any token meets it with its rounding errors."""
        small = max(weight.rows, weight.columns) <= self.width
        return not weight.is_float and (weight.is_exact or small)

    def _int8(self, x: Buffer) -> Buffer:
        """x quantised, once however many weights it meets."""
        if x not in self.int8_of:
            self.int8_of[x] = self._call("quantise", x, out=_int8_buffer(x))
        return self.int8_of[x]

    def _residual(self, x: Buffer) -> Buffer:
        """What x loses when it is quantised, quantised, once however many weights it meets."""
        if x not in self.residual_of:
            self.residual_of[x] = self._call("residual", x, self._int8(x), out=_int8_buffer(x))
        return self.residual_of[x]


def in_waves(calls: Sequence[Call]) -> list[Call]:
    """The calls in an order in which those that need not wait for one another are neighbours.

    A wave begins when the one before has ended, and each call is in the first wave in which it finds what it reads.
    What works row by row may be in the same wave as what fills its rows: the program makes a chain of them.
    """
    found: dict[Any, tuple[int, int]] = {}  # the waves in which one row of it can be read, and in which all of it can
    waves: list[int] = []
    for call in calls:
        reads = [found[arg] for arg in call.args if isinstance(arg, Buffer | Deal | PagedCache) and arg in found]
        wave = max((row if call.method in ROW_BY_ROW else whole for row, whole in reads), default=0)
        waves.append(wave)
        found[call.filled] = (wave if call.method in ROW_BY_ROW | GATHERING else wave + 1, wave + 1)
    return [calls[i] for i in sorted(range(len(calls)), key=waves.__getitem__)]


def one_of(stack: Experts) -> PackedMatrix | ExpertStack:
    """What tells how each of its matrices looks."""
    return stack[0] if isinstance(stack, list) else stack


def _int8_buffer(x: Buffer) -> Buffer:
    return Buffer(int8_row_bytes(x.width), x.wanted)


def _kind(buffer: Buffer) -> tuple[bool, int]:
    return buffer.wanted, buffer.row_bytes


def _lend(done: Sequence[Buffer], slots: Mapping[Buffer, int], free: dict[tuple[bool, int], list[int]]) -> None:
    for buffer in done:
        free.setdefault(_kind(buffer), []).append(slots[buffer])


def _distinct_buffers(args: Sequence[Any]) -> list[Buffer]:
    return list(dict.fromkeys(arg for arg in args if isinstance(arg, Buffer)))
