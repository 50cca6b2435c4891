"""Ways to run one op, or a whole model, on any backend: inputs enter as rows of an embedding."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gadfly._native import kernel_names
from gadfly.batch import Batch, Span
from gadfly.ops.native import Native
from gadfly.ops.reference import Reference
from gadfly.weight import Plain

PAGE_SIZE = 16


@pytest.fixture(params=kernel_names())
def native(request: pytest.FixtureRequest) -> Native:
    return Native(threads=2, kernels=request.param)


@pytest.fixture
def reference() -> Reference:
    return Reference()


def sequences(*lengths: int, start: int = 0) -> Batch:
    """One batch of sequences with these many tokens; token ids are row numbers, all rows are wanted."""
    spans, row, page = [], 0, 0
    for length in lengths:
        pages = -(-(start + length) // PAGE_SIZE)
        tokens = range(row, row + length)
        spans.append(Span(tokens, start, range(page, page + pages), range(length)))
        row, page = row + length, page + pages
    return Batch.of(spans)


def apply(backend: Any, op: Callable[..., Any], inputs: Sequence[np.ndarray], batch: Batch) -> np.ndarray:
    """op(ops, batch, *tensors) on `backend`, with the inputs (tokens, width) as tensors."""
    tables = [backend.place(Plain(x.astype(np.float32))) for x in inputs]
    run = backend.compile(lambda ops, batch: op(ops, batch, *(ops.embed(table, batch) for table in tables)))
    return run(batch)
