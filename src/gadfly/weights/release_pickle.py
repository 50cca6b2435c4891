"""The pickles of xAI's Grok-1 release, walked without executing anything.

    PROTO 4, FRAMEs of   ndarray float32   or   QuantizedWeight8bit {"weight": ndarray int8, "scales": ndarray bfloat16}

A pickle is a program for a stack machine that may call whatever it names. This machine knows only the words of
`release_opcodes` and builds nothing but descriptions of where the bytes of arrays lie; anything else is refused.
Which tensor a file should hold is known in `gadfly.weights.grok_release`.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gadfly.weights.gguf_cursor import quoted
from gadfly.weights.release_machine import Machine
from gadfly.weights.release_opcodes import DTYPES, GLOBALS, ITEM_BYTES, Global, Op

__all__ = ["StoredArray", "StoredWeight", "walk"]

MOST_OPCODES = 160  # the release takes up to 131; also bounds the stack, the memo and how deep tuples nest
MOST_DIMENSIONS = 3

_INTEGERS: Final = {Op.BININT1: "B", Op.BININT2: "H", Op.BININT: "i"}  # how `struct` calls what follows
_LENGTHS: Final = {Op.SHORT_BINBYTES: "B", Op.BINBYTES: "I", Op.BINBYTES8: "Q"}


@dataclass(frozen=True)
class StoredArray:
    """Where the elements of an array lie: `offset` bytes from the begin of the file, little-endian, in C order."""

    dtype: str  # a key of DTYPES
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class StoredWeight:
    """Codes (…, in, out) int8 and scales (…, groups, out) bfloat16; whether the shapes fit is not known here."""

    weight: StoredArray
    scales: StoredArray


def walk(path: Path, data: memoryview) -> StoredArray | StoredWeight:
    """What the file `path`, whose bytes are `data`, holds. Reads headers only, whatever the size of the payload.

    Raises ModelFileError naming opcode and byte, unless `data` is one float32 array or one quantised weight.
    """
    return _Walk(path, data).run()


@dataclass(frozen=True)
class _Bytes:
    """Bytes of the file, not looked at."""

    start: int
    size: int


@dataclass(eq=False)
class _Object:
    """What REDUCE, NEWOBJ or EMPTY_DICT made. It is empty until BUILD or SETITEMS gives it its value, once."""

    what: str  # "an array", "a dtype", "a weight" or "a dictionary"
    made_from: str = ""  # a key of DTYPES
    value: StoredArray | StoredWeight | str | None = None


class _Walk(Machine):
    """Every value on the stack is immutable and a description, so that no opcode can reach outside."""

    def run(self) -> StoredArray | StoredWeight:
        for _ in range(MOST_OPCODES):
            if self.position == self.frame_end:
                self.frame_end = None
            self.opcode = self.position
            if self.position == len(self.data):
                raise self.error("expected STOP before it")
            try:
                op = Op(self.number("B"))
            except ValueError:
                raise self.error("the release does not use it; it is not executed") from None
            if (op is Op.PROTO) != (self.opcode == 0):
                raise self.error("expected PROTO, and only as the first byte")
            if op is Op.STOP:
                return self.result()
            self.step(op)
        raise self.error(f"expected STOP among the first {MOST_OPCODES} opcodes")

    def step(self, op: Op) -> None:
        match op:
            case Op.PROTO:
                if (version := self.number("B")) != 4:
                    raise self.error(f"the protocol is {version}; expected 4")
            case Op.FRAME:
                self.begin_frame()
            case Op.MARK:
                self.marks.append(len(self.stack))
            case Op.MEMOIZE:
                self.memo.append(self.top())
            case Op.SETITEMS:
                self.set_items(self.pop_to_mark(), self.top())
            case Op.BUILD:
                (state,) = self.pop(1)
                self.build(self.top(), state)
            case _:
                self.stack.append(self.value(op))

    def value(self, op: Op) -> object:
        """What an opcode that makes a value leaves on the stack."""
        match op:
            case Op.NONE:
                return None
            case Op.NEWTRUE | Op.NEWFALSE:
                return op is Op.NEWTRUE
            case Op.BININT1 | Op.BININT2 | Op.BININT:
                return self.number(_INTEGERS[op])
            case Op.SHORT_BINUNICODE:
                return self.text()
            case Op.SHORT_BINBYTES | Op.BINBYTES | Op.BINBYTES8:
                size = self.number(_LENGTHS[op])
                return _Bytes(self.take(size), size)
            case Op.EMPTY_TUPLE:
                return ()
            case Op.TUPLE1 | Op.TUPLE2 | Op.TUPLE3:
                return tuple(self.pop(op - Op.TUPLE1 + 1))
            case Op.TUPLE:
                return tuple(self.pop_to_mark())
            case Op.EMPTY_DICT:
                return _Object("a dictionary")
            case Op.BINGET:
                return self.remembered(self.number("B"))
            case Op.STACK_GLOBAL:
                return self.look_up(*self.pop(2))
            case Op.NEWOBJ:
                return self.new(*self.pop(2))
            case Op.REDUCE:
                return self.call(*self.pop(2))
        raise AssertionError(op)  # `step` does the others

    def look_up(self, module: object, name: object) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.error("expected the names of a module and of something in it")
        if (module, name) not in GLOBALS:
            allowed = ", ".join(".".join(known) for known in GLOBALS)
            raise self.error(f"the file names {quoted(f'{module}.{name}')}; expected one of {allowed}")
        return GLOBALS[module, name]

    def new(self, kind: object, arguments: object) -> _Object:
        if kind is not Global.WEIGHT or arguments != ():
            raise self.error("expected QuantizedWeight8bit without arguments")
        return _Object("a weight")

    def call(self, function: object, arguments: object) -> _Object:
        match function, arguments:
            case Global.RECONSTRUCT, (Global.NDARRAY, (0,), _Bytes(start, 1)) if self.data[start] == ord("b"):
                return _Object("an array")
            case Global.DTYPE, (str() | Global() as made_from, False, True):
                for dtype, (argument, _) in DTYPES.items():
                    if made_from == argument:
                        return _Object("a dtype", dtype)
        raise self.error("expected a call that makes an empty ndarray, or a dtype f4, i1 or bfloat16")

    def set_items(self, items: list[object], target: object) -> None:
        match target, items:
            case (
                _Object("a dictionary", value=None),
                [
                    "weight",
                    _Object(value=StoredArray("int8") as weight),
                    "scales",
                    _Object(value=StoredArray("bfloat16") as scales),
                ],
            ):
                if scales.offset < weight.offset + weight.size:
                    raise self.error("scales and weight overlap; expected the scales behind the weight")
                target.value = StoredWeight(weight, scales)
            case _:
                raise self.error("expected a dictionary of weight, an int8 array, and scales, a bfloat16 array")

    def build(self, target: object, state: object) -> None:
        match target, state:
            case _Object("a dtype", made_from, None), tuple():
                if state != DTYPES[made_from][1]:
                    raise self.error(f"expected the state {DTYPES[made_from][1]}, little-endian {made_from}")
                target.value = made_from
            case _Object("an array", value=None), (1, _, _Object("a dtype"), True, _):
                raise self.error("the array is in Fortran order; expected C order")
            case _Object("an array", value=None), (
                1,
                tuple() as shape,
                _Object("a dtype", value=str(dtype)),
                False,
                _Bytes() as payload,
            ):
                target.value = self.array(dtype, shape, payload)
            case _Object("a weight", value=None), _Object("a dictionary", value=StoredWeight() as value):
                target.value = value
            case _:
                raise self.error("expected the state of a new dtype, array or weight")

    def array(self, dtype: str, shape: tuple[object, ...], payload: _Bytes) -> StoredArray:
        dimensions = [n for n in shape if type(n) is int and n > 0]
        if not 1 <= len(dimensions) == len(shape) <= MOST_DIMENSIONS:
            raise self.error(f"expected a shape of 1 to {MOST_DIMENSIONS} positive dimensions")
        array = StoredArray(dtype, tuple(dimensions), payload.start)
        if array.size != payload.size:
            raise self.error(
                f"the array has {payload.size} bytes; expected {array.size}, as {dtype} of shape {array.shape} takes"
            )
        return array

    def result(self) -> StoredArray | StoredWeight:
        if self.position != len(self.data):
            raise self.error(f"the file goes on to byte {len(self.data)}; expected its end")
        match self.marks, self.stack:
            case [], [_Object("an array", value=StoredArray("float32") as array)]:
                return array
            case [], [_Object("a weight", value=StoredWeight() as weight)]:
                return weight
        raise self.error("expected one float32 array or one QuantizedWeight8bit, and nothing else")
