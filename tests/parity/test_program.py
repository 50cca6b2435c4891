"""A program refuses what would reach outside its buffers or mean nothing, when it is recorded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gadfly._native import (
    Deal,
    ExpertStack,
    ExpertStore,
    PackedMatrix,
    PagedCache,
    Program,
    int8_row_bytes,
    kernel_names,
)

Record = Callable[[Program], None]


def floats(program: Program, width: int, wanted: bool = False) -> int:
    return program.buffer(wanted, 4 * width)


def int8s(program: Program, width: int) -> int:
    return program.buffer(False, int8_row_bytes(width))


def ones(width: int) -> np.ndarray:
    return np.ones(width, np.float32)


def cache() -> PagedCache:
    return PagedCache(1, 2, 16, 2, 8, half_values=False)


def attend(program: Program, temperature: int = 0, window: int = 0, width: int = 32) -> None:
    q, out = floats(program, width), floats(program, 32)
    program.attend(q, cache(), 0, 4, 1.0, 0.0, temperature, window, out)


def multiply(program: Program, layout: str, x: int, rest: int | None) -> None:
    program.linear(x, rest, PackedMatrix(layout, 8, 64), floats(program, 8))


def mix(program: Program, x: int, rest: int | None, down: int = 32, experts: int = 2, form: str = "I8") -> None:
    deal = Deal(2, 2)
    program.route(floats(program, 2), False, deal)
    gates, downs = [PackedMatrix("I8", 32, 64)] * 2, [PackedMatrix(form, 64, down)] * experts
    program.mixture(x, rest, x, None, gates, gates, downs, True, "gelu", deal, floats(program, 128))


ALLOWED: list[Record] = [
    lambda p: p.rms_norm(floats(p, 48), ones(48), 1e-5, floats(p, 48)),
    lambda p: p.rms_norm(floats(p, 48), ones(16), 1e-5, floats(p, 48)),
    lambda p: p.shift(floats(p, 48), ones(48), floats(p, 48)),
    lambda p: p.softcap(floats(p, 48, True), 2.0, floats(p, 48, True)),
    lambda p: p.gated(floats(p, 8), floats(p, 8), "gelu_erf", floats(p, 8)),
    lambda p: p.angles([1.0, 0.5], 2.0, floats(p, 4)),
    lambda p: attend(p, temperature=2, window=1),
    lambda p: p.route(floats(p, 4), True, Deal(4, 2)),
    lambda p: p.residual(floats(p, 64), int8s(p, 64), int8s(p, 64)),
    lambda p: multiply(p, "Q4_1", int8s(p, 64), int8s(p, 64)),
    lambda p: multiply(p, "F32", floats(p, 64), None),
    lambda p: mix(p, int8s(p, 128), int8s(p, 128)),
    lambda p: mix(p, int8s(p, 128), None),
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
    ("wrong width", lambda p: p.residual(floats(p, 64), int8s(p, 32), int8s(p, 64))),
    ("wrong width", lambda p: p.residual(floats(p, 64), int8s(p, 64), int8s(p, 32))),
    ("cannot replace", lambda p: p.residual(floats(p, 64), (x := int8s(p, 64)), x)),
    ("wrong width", lambda p: multiply(p, "I8", int8s(p, 64), int8s(p, 32))),
    ("wrong width", lambda p: multiply(p, "I8", int8s(p, 32), int8s(p, 64))),
    ("leave a residual", lambda p: multiply(p, "F16", floats(p, 64), int8s(p, 64))),
    ("wrong width", lambda p: mix(p, int8s(p, 128), int8s(p, 64))),
    ("no buffer", lambda p: mix(p, int8s(p, 128), 99)),
    ("do not fit", lambda p: mix(p, int8s(p, 128), None, down=64)),
    ("for every expert", lambda p: mix(p, int8s(p, 128), None, experts=1)),
    ("leave a residual", lambda p: mix(p, int8s(p, 128), None, form="F16")),
    ("no buffer", lambda p: (mix(p, int8s(p, 128), None), p.scale(hidden := floats(p, 8) - 1, 2.0, hidden))),
    ("wrong width", lambda p: p.route(floats(p, 5), True, Deal(4, 2))),
]


@pytest.mark.parametrize("record", ALLOWED)
def test_what_fits_is_recorded(record: Record) -> None:
    record(Program(kernel_names()[0]))


@pytest.mark.parametrize(("message", "record"), REFUSED)
def test_what_does_not_fit_is_refused(message: str, record: Record) -> None:
    with pytest.raises(ValueError, match=message):
        record(Program(kernel_names()[0]))


def stacks(folder: Path, *pools: int) -> list[ExpertStack]:
    """Of two experts each, in a store of their own."""
    file = folder / "weights"
    file.write_bytes(bytes(4096))
    store = ExpertStore([str(file)])
    return [store.stack(pool, "F32", 8, 8, [0, 0], [0, 0], False) for pool in pools]


def test_what_is_fetched_is_multiplied_with_before_more_is(tmp_path: Path) -> None:
    program, deal = Program(kernel_names()[0]), Deal(2, 1)
    program.route(floats(program, 2), False, deal)
    x, out, (*layer, other) = floats(program, 8), floats(program, 8), stacks(tmp_path, 0, 1, 2, 2)
    for message, wanted in (
        ("has stacks", []),
        ("for every expert", [None]),
        ("one another's slots", [*layer, other]),
        ("two stores", [*layer[:2], *stacks(tmp_path, 0, 1, 2)[2:]]),
    ):
        with pytest.raises(ValueError, match=message):
            program.fetch(deal, wanted)
    program.fetch(deal, layer)  # what was refused has changed nothing
    with pytest.raises(ValueError, match="fetched and not multiplied with"):
        program.fetch(deal, layer)
    with pytest.raises(ValueError, match="wrong width"):
        program.mixture(x, None, x, None, *layer, False, "gelu", deal, floats(program, 16))
    program.mixture(x, None, x, None, *layer, False, "gelu", deal, out)
    with pytest.raises(ValueError, match="multiplied with already"):
        program.mixture(x, None, x, None, *layer, False, "gelu", deal, out)
    program.fetch(deal, layer)


def test_layers_are_fetched_once(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(4096))
    store, program = ExpertStore([str(file)]), Program(kernel_names()[0])
    query, key = (store.stack(0, "F32", 8, 8, [0], [0], False) for _ in range(2))
    with pytest.raises(ValueError, match="for every layer"):
        program.fetch_layers([None])
    with pytest.raises(ValueError, match="fetched twice"):
        program.fetch_layers([query, key, query])
    program.fetch_layers([query, key])
    with pytest.raises(ValueError, match="fetched once"):
        program.fetch_layers([query, key])
