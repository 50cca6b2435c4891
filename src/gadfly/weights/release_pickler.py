"""What CPython's pickler puts around the arrays of xAI's Grok-1 release, byte for byte, without pickling anything.

So that the files are those which xAI's own program writes and reads, frames and memo are the pickler's too: a frame
ends before the first value behind 64 KiB, and payloads of 64 KiB stand outside of frames.
The way back is `release_pickle`. Source: CPython, Modules/_pickle.c; numpy's ndarray.__reduce__.
"""

import math
from dataclasses import dataclass
from struct import pack

from gadfly.weights.release_opcodes import DTYPES, ITEM_BYTES, Global, Op

__all__ = ["pickled"]

FRAME_TARGET = 2**16  # bytes


def pickled(*arrays: tuple[str, tuple[int, ...]]) -> list[bytes | int]:
    """The parts of a file, as bytes and as the sizes of the payloads between them.

    One array (dtype, shape) is stored as it is; two are the weight and the scales of a QuantizedWeight8bit.
    """
    if len(arrays) == 1:
        return _Pickler().file(_array(*arrays[0]))
    weight, scales = arrays
    return _Pickler().file(_Weight(_array(*weight), _array(*scales)))


@dataclass(frozen=True)
class _Payload:
    size: int  # bytes


@dataclass(frozen=True)
class _Made:
    """What `function(*arguments)` makes and `state` fills."""

    function: Global
    arguments: tuple[object, ...]
    state: tuple[object, ...]


@dataclass(frozen=True)
class _Weight:
    weight: _Made
    scales: _Made


def _array(dtype: str, shape: tuple[int, ...]) -> _Made:
    argument, state = DTYPES[dtype]
    payload = _Payload(math.prod(shape) * ITEM_BYTES[dtype])
    made_dtype = _Made(Global.DTYPE, (argument, False, True), state)
    return _Made(Global.RECONSTRUCT, (Global.NDARRAY, (0,), b"b"), (1, shape, made_dtype, False, payload))


class _Pickler:
    """Puts values down as CPython's pickler does, with its frames and its memo."""

    def __init__(self) -> None:
        self.parts: list[bytes | int] = [bytes([Op.PROTO, 4])]
        self.frame: list[bytes | int] = []
        self.memo: dict[object, int] = {}  # values that occur again, and where they are
        self.memoized = 0

    def file(self, value: object) -> list[bytes | int]:
        self.save(value)
        self.op(Op.STOP)
        self.end_frame()
        return self.parts

    def save(self, value: object) -> None:
        if self.frame_size() >= FRAME_TARGET:
            self.end_frame()
        match value:
            case None | True | False:
                self.op({None: Op.NONE, True: Op.NEWTRUE, False: Op.NEWFALSE}[value])
            case int():
                self.integer(value)
            case str() | bytes() | Global() if value in self.memo:
                self.op(Op.BINGET, bytes([self.memo[value]]))
            case str():
                self.op(Op.SHORT_BINUNICODE, bytes([len(value)]) + value.encode())
                self.memoize(value)
            case bytes():
                self.op(Op.SHORT_BINBYTES, bytes([len(value)]) + value)
                self.memoize(value)
            case Global():
                self.save_all(*value.value)
                self.op(Op.STACK_GLOBAL)
                self.memoize(value)
            case ():
                self.op(Op.EMPTY_TUPLE)
            case tuple():
                self.tuple(value)
            case _Payload(size):
                self.payload(size)
            case _Made(function, arguments, state):
                self.save_all(function, arguments)
                self.op(Op.REDUCE)
                self.memoize()
                self.save(state)
                self.op(Op.BUILD)
            case _Weight(weight, scales):
                self.save_all(Global.WEIGHT, ())
                self.op(Op.NEWOBJ)
                self.memoize()
                self.save({"weight": weight, "scales": scales})
                self.op(Op.BUILD)
            case dict():
                self.op(Op.EMPTY_DICT)
                self.memoize()
                self.op(Op.MARK)
                self.save_all(*(part for item in value.items() for part in item))
                self.op(Op.SETITEMS)

    def save_all(self, *values: object) -> None:
        for value in values:
            self.save(value)

    def integer(self, value: int) -> None:
        if 0 <= value < 2**8:
            self.op(Op.BININT1, pack("<B", value))
        elif 0 <= value < 2**16:
            self.op(Op.BININT2, pack("<H", value))
        else:
            self.op(Op.BININT, pack("<i", value))

    def tuple(self, values: tuple[object, ...]) -> None:
        if len(values) > 3:
            self.op(Op.MARK)
        self.save_all(*values)
        self.op((Op.TUPLE1, Op.TUPLE2, Op.TUPLE3)[len(values) - 1] if len(values) <= 3 else Op.TUPLE)
        self.memoize()

    def payload(self, size: int) -> None:
        layouts = [(Op.SHORT_BINBYTES, "<B", 2**8), (Op.BINBYTES, "<I", 2**32), (Op.BINBYTES8, "<Q", 2**64)]
        op, layout, _ = next(candidate for candidate in layouts if size < candidate[2])
        if size >= FRAME_TARGET:
            self.end_frame()
            self.parts += [bytes([op]) + pack(layout, size), size]
        else:
            self.op(op, pack(layout, size))
            self.frame.append(size)
        self.memoize()

    def op(self, op: Op, argument: bytes = b"") -> None:
        self.frame.append(bytes([op]) + argument)

    def memoize(self, value: object = None) -> None:
        """Number what is on the stack; `value` is how it is recognised when it comes again, if it may."""
        self.op(Op.MEMOIZE)
        if value is not None:
            self.memo[value] = self.memoized
        self.memoized += 1

    def frame_size(self) -> int:
        return sum(part if isinstance(part, int) else len(part) for part in self.frame)

    def end_frame(self) -> None:
        if self.frame:
            self.parts += [bytes([Op.FRAME]) + pack("<Q", self.frame_size()), *self.frame]
            self.frame = []
