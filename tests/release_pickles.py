"""CPython's own pickler and unpickler on what the Grok-1 release holds: what its reader and writer are compared with.

Stand-ins take the places of ml_dtypes and of the reference's class, under their names, while a pickle is made or read.
"""

import io
import math
import pickle
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np


def reconstruct():
    raise AssertionError("a name, never called")


reconstruct.__module__, reconstruct.__qualname__ = "numpy.core.multiarray", "_reconstruct"
bfloat16 = type("bfloat16", (), {"__module__": "ml_dtypes"})
QuantizedWeight8bit = type("QuantizedWeight8bit", (), {"__module__": "__main__"})


class BFloat16:
    """The dtype that numpy has once ml_dtypes is imported."""

    itemsize = 2

    def __reduce__(self):
        return np.dtype, (bfloat16, False, True), (3, "<", None, None, None, 2, 2, 64)


FLOAT32, INT8, BFLOAT16 = np.dtype("<f4"), np.dtype("i1"), BFloat16()


@dataclass
class Array:
    """Reduces as an ndarray does; `changes` replace parts of its state."""

    dtype: object
    shape: tuple
    payload: bytes | None = None
    changes: dict = ()

    @property
    def size(self):
        return math.prod(self.shape) * self.dtype.itemsize

    def __reduce__(self):
        payload = bytes(self.size) if self.payload is None else self.payload
        state = [1, self.shape, self.dtype, False, payload]
        for position, value in dict(self.changes).items():
            state[position] = value
        empty = tuple([0])  # noqa: C409  as numpy makes it: a new one for every array
        return reconstruct, (np.ndarray, empty, b"b"), tuple(state)


def weight(codes, scales, **more):
    made = QuantizedWeight8bit()
    made.__dict__.update(weight=codes, scales=scales, **more)
    return made


def dumps(value, protocol=4, numpy_core="numpy.core.multiarray"):
    with stand_ins(numpy_core):
        return pickle.dumps(value, protocol)


@contextmanager
def stand_ins(numpy_core):
    modules = {
        numpy_core: SimpleNamespace(_reconstruct=reconstruct),
        "ml_dtypes": SimpleNamespace(bfloat16=bfloat16),
        "__main__": SimpleNamespace(QuantizedWeight8bit=QuantizedWeight8bit),
    }
    before = {name: sys.modules.get(name) for name in modules}
    reconstruct.__module__ = numpy_core
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Unpickler(pickle.Unpickler):
    """Only for files of our own. Arrays come out as `Loaded`, those of bfloat16 as their bits."""

    def find_class(self, module, name):
        known = {
            "_reconstruct": Loaded,
            "bfloat16": BFloat16,
            "QuantizedWeight8bit": QuantizedWeight8bit,
            "dtype": lambda kind, *flags: Bits() if kind is BFloat16 else np.dtype(kind, *flags),
        }
        return known.get(name) or super().find_class(module, name)


class Bits:
    def __setstate__(self, state):
        self.state = state


class Loaded:
    def __init__(self, *arguments):
        self.array = np.ndarray.__reduce__(np.zeros(0))[0](*arguments)

    def __setstate__(self, state):
        _, shape, dtype, _, payload = state
        if isinstance(dtype, Bits):
            self.array = np.frombuffer(payload, "<u2").reshape(shape)
        else:
            self.array.__setstate__(state)


def unpickle(data):
    """float32 array, or (int8 codes, bits of the scales)."""
    value = Unpickler(io.BytesIO(data)).load()
    return value.array if isinstance(value, Loaded) else (value.weight.array, value.scales.array)
