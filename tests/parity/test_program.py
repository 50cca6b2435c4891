"""A program refuses what would reach outside its buffers or mean nothing, when it is recorded."""

from collections.abc import Callable

import numpy as np
import pytest

from gadfly._native import Deal, PagedCache, Program, kernel_names

Record = Callable[[Program], None]


def floats(program: Program, width: int, wanted: bool = False) -> int:
    return program.buffer(wanted, 4 * width)


def ones(width: int) -> np.ndarray:
    return np.ones(width, np.float32)


def cache() -> PagedCache:
    return PagedCache(1, 2, 16, 2, 8)


def attend(program: Program, temperature: int = 0, window: int = 0, width: int = 32) -> None:
    q, out = floats(program, width), floats(program, 32)
    program.attend(q, cache(), 0, 4, 1.0, 0.0, temperature, window, out)


ALLOWED: list[Record] = [
    lambda p: p.rms_norm(floats(p, 48), ones(48), 1e-5, floats(p, 48)),
    lambda p: p.rms_norm(floats(p, 48), ones(16), 1e-5, floats(p, 48)),
    lambda p: p.shift(floats(p, 48), ones(48), floats(p, 48)),
    lambda p: p.softcap(floats(p, 48, True), 2.0, floats(p, 48, True)),
    lambda p: p.gated(floats(p, 8), floats(p, 8), "gelu_erf", floats(p, 8)),
    lambda p: p.angles([1.0, 0.5], 2.0, floats(p, 4)),
    lambda p: attend(p, temperature=2, window=1),
    lambda p: p.route(floats(p, 4), True, Deal(4, 2)),
]

REFUSED: list[tuple[str, Record]] = [
    ("no whole part", lambda p: p.rms_norm(floats(p, 48), ones(20), 1e-5, floats(p, 48))),
    ("no whole part", lambda p: p.rms_norm(floats(p, 48), ones(0), 1e-5, floats(p, 48))),
    ("no whole part", lambda p: p.rms_norm(floats(p, 48), ones(96), 1e-5, floats(p, 48))),
    ("wrong width", lambda p: p.rms_norm(floats(p, 32), ones(16), 1e-5, floats(p, 48))),
    ("wrong rows", lambda p: p.rms_norm(floats(p, 48, True), ones(16), 1e-5, floats(p, 48))),
    ("wrong width", lambda p: p.shift(floats(p, 48), ones(16), floats(p, 48))),
    ("wrong width", lambda p: p.shift(floats(p, 48), ones(48), floats(p, 16))),
    ("wrong rows", lambda p: p.shift(floats(p, 48), ones(48), floats(p, 48, True))),
    ("cap is positive", lambda p: p.softcap(floats(p, 48), 0.0, floats(p, 48))),
    ("cap is positive", lambda p: p.softcap(floats(p, 48), float("nan"), floats(p, 48))),
    ("wrong width", lambda p: p.softcap(floats(p, 48), 1.0, floats(p, 32))),
    ("no buffer", lambda p: p.softcap(floats(p, 48), 1.0, 7)),
    ("no native activation", lambda p: p.gated(floats(p, 8), floats(p, 8), "relu", floats(p, 8))),
    ("wrong width", lambda p: p.angles([1.0, 0.5], 2.0, floats(p, 8))),
    ("begin at two", lambda p: attend(p, temperature=1)),
    ("wrong width", lambda p: attend(p, width=40)),
    ("wrong width", lambda p: p.route(floats(p, 5), True, Deal(4, 2))),
]


@pytest.mark.parametrize("record", ALLOWED)
def test_what_fits_is_recorded(record: Record) -> None:
    record(Program(kernel_names()[0]))


@pytest.mark.parametrize(("message", "record"), REFUSED)
def test_what_does_not_fit_is_refused(message: str, record: Record) -> None:
    with pytest.raises(ValueError, match=message):
        record(Program(kernel_names()[0]))
