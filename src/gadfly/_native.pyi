"""Gadfly's native kernels and the runtime that drives them."""

from collections.abc import Sequence
from typing import Annotated, overload

import numpy
from numpy.typing import NDArray

def kernel_names() -> list[str]:
    """Kernels that this processor can execute, fastest first."""

def int8_row_bytes(width: int) -> int:
    """Bytes of an activation row quantised to int8."""

class ThreadPool:
    def __init__(self, threads: int) -> None: ...
    @property
    def threads(self) -> int: ...

def read_bandwidth(pool: ThreadPool, bytes: int, rounds: int) -> float:
    """Bytes per second that the pool's threads read from memory."""

def multiply_rate(kernels: str, floats: bool) -> float:
    """
    Products per second that one thread computes from registers, of floats or of int8.
    """

def encode(
    kernels: str,
    pool: ThreadPool,
    source: str,
    weights: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    scales: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order="C", device="cpu", writable=False)] | None,
    first: int,
    format: str,
    importance: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)] | None,
    blocks: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order="C", device="cpu")],
) -> bool:
    """
    Fill `blocks` from rows `first` on. False if a weight is no number or too large for the format.
    """

def packed_bytes(layout: str, rows: int, columns: int) -> int:
    """Bytes that a matrix packed in this layout takes."""

class PackedMatrix:
    def __init__(self, layout: str, rows: int, columns: int) -> None: ...
    @staticmethod
    def over(
        layout: str,
        rows: int,
        columns: int,
        packed: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order="C", device="cpu", writable=False)],
    ) -> PackedMatrix:
        """A matrix that lies packed in read-only bytes. It cannot be filled."""

    def fill(
        self,
        pool: ThreadPool,
        first: int,
        blocks: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    ) -> None: ...
    def fill_transposed(
        self,
        pool: ThreadPool,
        codes: Annotated[NDArray[numpy.int8], dict(shape=(None, None), order="C", device="cpu", writable=False)],
        scales: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order="C", device="cpu", writable=False)],
    ) -> None: ...
    def decode(
        self, rows: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)]
    ) -> NDArray[numpy.float32]:
        """These rows as float32."""

    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def packed(self) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), writable=False)]: ...
    @property
    def is_exact(self) -> bool: ...
    @property
    def is_float(self) -> bool: ...

class PagedCache:
    def __init__(
        self, layers: int, pages: int, page_size: int, kv_heads: int, head_dim: int, half_values: bool
    ) -> None: ...
    @property
    def bytes(self) -> int: ...

class Deal:
    def __init__(self, experts: int, selected: int) -> None: ...
    @property
    def used(self) -> list[int]: ...

class UnreadableExpert(OSError):
    pass

class ExpertStack:
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def is_exact(self) -> bool: ...
    @property
    def is_float(self) -> bool: ...

class ExpertStore:
    def __init__(self, paths: Sequence[str]) -> None: ...
    def stack(
        self, pool: int, layout: str, rows: int, columns: int, offsets: Sequence[int], files: Sequence[int], filed: bool
    ) -> ExpertStack:
        """
        A matrix of every expert of a layer, from these bytes of those files on: packed, or rows as files hold them.
        """

    def reserve(self, bytes: int, buffers: int) -> None:
        """
        Take so much memory, of which the last `buffers` bytes are always for the buffers of steps.
        """

    @property
    def room(self) -> int:
        """Experts that have room in it, while steps are short."""

    @property
    def bytes_per_expert(self) -> int: ...
    @property
    def bytes_to_pack(self) -> int: ...
    @property
    def is_direct(self) -> bool:
        """Whether files are read past the system's cache."""

    @property
    def counts(self) -> dict[str, float]:
        """
        Matrices found in memory and missing, bytes read, seconds of reading and of threads waiting.
        """

    @property
    def ranks(self) -> list[int]:
        """
        How often a lone token wanted an expert than which so many of its layer were wanted more.
        """

class Program:
    def __init__(self, kernels: str) -> None: ...
    def buffer(self, wanted: bool, row_bytes: int) -> int: ...
    def embed(self, table: PackedMatrix, out: int) -> None: ...
    def rms_norm(
        self,
        x: int,
        weight: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        eps: float,
        out: int,
    ) -> None: ...
    def quantise(self, x: int, out: int) -> None: ...
    def residual(self, x: int, rounded: int, out: int) -> None: ...
    def linear(self, x: int, rest: int | None, weight: PackedMatrix, out: int) -> None: ...
    def down(self, x: int, matrix: PackedMatrix, adapter: int, out: int) -> None: ...
    def up(self, x: int, matrix: PackedMatrix, adapter: int, scale: float, out: int) -> None: ...
    def angles(self, frequencies: Sequence[float], magnitude: float, out: int) -> None: ...
    def rope(self, x: int, angles: int, heads: int, head_dim: int, dim: int, out: int) -> None: ...
    def store(self, k: int, v: int, cache: PagedCache, layer: int) -> None: ...
    def attend(
        self,
        q: int,
        cache: PagedCache,
        layer: int,
        heads: int,
        scale: float,
        softcap: float,
        temperature: int,
        window: int,
        out: int,
    ) -> None: ...
    def gated(self, gate: int, up: int, activation: str, out: int) -> None: ...
    def add(self, x: int, y: int, out: int) -> None: ...
    def shift(
        self,
        x: int,
        bias: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        out: int,
    ) -> None: ...
    def scale(self, x: int, factor: float, out: int) -> None: ...
    def softcap(self, x: int, cap: float, out: int) -> None: ...
    def route(self, logits: int, renormalised: bool, deal: Deal) -> None: ...
    def deal(self, x: int, deal: Deal, out: int) -> None: ...
    def fetch(self, deal: Deal, stacks: Sequence[ExpertStack]) -> None: ...
    def fetch_layers(self, stacks: Sequence[ExpertStack]) -> None: ...
    def stored_linear(self, x: int, rest: int | None, stack: ExpertStack, out: int) -> None: ...
    @overload
    def mixture(
        self,
        gate_x: int,
        gate_rest: int | None,
        up_x: int,
        up_rest: int | None,
        gate: Sequence[PackedMatrix],
        up: Sequence[PackedMatrix],
        down: Sequence[PackedMatrix],
        precise: bool,
        activation: str,
        deal: Deal,
        out: int,
    ) -> None: ...
    @overload
    def mixture(
        self,
        gate_x: int,
        gate_rest: int | None,
        up_x: int,
        up_rest: int | None,
        gate: ExpertStack,
        up: ExpertStack,
        down: ExpertStack,
        precise: bool,
        activation: str,
        deal: Deal,
        out: int,
    ) -> None: ...
    def combine(self, x: int, deal: Deal, out: int) -> None: ...
    def select(self, x: int, out: int) -> None: ...
    def step_bytes(self, tokens: int, wanted: int) -> int:
        """Bytes that the buffers of such a step take."""

    def profile(self) -> None:
        """Note where time goes, from now on."""

    @property
    def costs(self) -> list[tuple[str, float, float]]:
        """
        Of every instruction: its name, seconds at work, seconds of waiting before it.
        """

    def run(
        self,
        pool: ThreadPool,
        tokens: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        positions: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        starts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        page_ids: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        page_starts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        wanted: Annotated[NDArray[numpy.int32], dict(shape=(None,), order="C", device="cpu", writable=False)],
        strengths: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)],
        result: int,
    ) -> NDArray[numpy.float32]: ...
