"""The words of the pickles that xAI's Grok-1 release is made of: 27 opcodes, six globals, three dtypes.

`release_pickle` reads what is said with them, `release_writer` says it. Sources: CPython, Lib/pickletools.py; numpy's
ndarray.__reduce__ and dtype.__reduce__; xai-org/grok-1, checkpoint.py.
"""

from enum import Enum, IntEnum
from typing import Final

__all__ = ["DTYPES", "GLOBALS", "ITEM_BYTES", "NAMES", "Global", "Op"]


class Op(IntEnum):
    """The opcodes of the release. BINBYTES8, of payloads from 4 GiB, is what a larger embedding table would take."""

    PROTO = 0x80
    FRAME = 0x95
    STOP = 0x2E
    MARK = 0x28
    NONE = 0x4E
    NEWTRUE = 0x88
    NEWFALSE = 0x89
    BININT = 0x4A
    BININT1 = 0x4B
    BININT2 = 0x4D
    SHORT_BINUNICODE = 0x8C
    SHORT_BINBYTES = 0x43
    BINBYTES = 0x42
    BINBYTES8 = 0x8E
    EMPTY_TUPLE = 0x29
    TUPLE1 = 0x85
    TUPLE2 = 0x86
    TUPLE3 = 0x87
    TUPLE = 0x74
    EMPTY_DICT = 0x7D
    SETITEMS = 0x75
    MEMOIZE = 0x94
    BINGET = 0x68
    STACK_GLOBAL = 0x93
    NEWOBJ = 0x81
    REDUCE = 0x52
    BUILD = 0x62


# The names of all others, for messages.
_OTHERS = (
    "POP POP_MARK DUP FLOAT INT LONG PERSID BINPERSID STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE APPEND "
    "GLOBAL DICT APPENDS GET INST LONG_BINGET LIST EMPTY_LIST OBJ PUT BINPUT LONG_BINPUT SETITEM BINFLOAT EXT1 EXT2 "
    "EXT4 LONG1 LONG4 BINUNICODE8 EMPTY_SET ADDITEMS FROZENSET NEWOBJ_EX BYTEARRAY8 NEXT_BUFFER READONLY_BUFFER"
)
_OTHER_CODES = b"012FILPQSTUVXacdegijl]opqrsG\x82\x83\x84\x8a\x8b\x8d\x8f\x90\x91\x92\x96\x97\x98"
NAMES: Final = {op.value: op.name for op in Op} | dict(zip(_OTHER_CODES, _OTHERS.split(), strict=True))


class Global(Enum):
    """What a file may name: (module, name). numpy renamed one module; both spellings mean RECONSTRUCT."""

    RECONSTRUCT = ("numpy.core.multiarray", "_reconstruct")
    NDARRAY = ("numpy", "ndarray")
    DTYPE = ("numpy", "dtype")
    BFLOAT16 = ("ml_dtypes", "bfloat16")
    WEIGHT = ("__main__", "QuantizedWeight8bit")


GLOBALS: Final = {known.value: known for known in Global} | {
    ("numpy._core.multiarray", "_reconstruct"): Global.RECONSTRUCT
}

# What numpy.dtype is called with, and the state that it is given: version, byte order, ..., size, alignment, flags.
DTYPES: Final[dict[str, tuple[str | Global, tuple[int | str | None, ...]]]] = {
    "float32": ("f4", (3, "<", None, None, None, -1, -1, 0)),
    "int8": ("i1", (3, "|", None, None, None, -1, -1, 0)),
    "bfloat16": (Global.BFLOAT16, (3, "<", None, None, None, 2, 2, 64)),
}
ITEM_BYTES: Final = {"float32": 4, "int8": 1, "bfloat16": 2}
