"""The engine: many requests for tokens in, one batch per step through a model, tokens out.

It knows ids and pages, not text, files or arithmetic: a model is a function from a `Batch` to logits, which
`executor` makes of weights and a backend. `engine` is the object to hold; `scheduler` decides what a step computes,
whose turn it is (`queue`), how much fits into its time (`pace`) and what may be guessed (`draft`); `prefix` finds what
need not be computed again; `sampling` draws.
"""

from gadfly.engine.cancellation import Cancellation
from gadfly.engine.constraint import Constraint, ConstraintSource
from gadfly.engine.counts import Counts
from gadfly.engine.embedder import Embedder
from gadfly.engine.engine import Engine
from gadfly.engine.executor import Executor
from gadfly.engine.handle import Handle, Listener
from gadfly.engine.likelihood import Likelihood
from gadfly.engine.pooling import declared_pooling
from gadfly.engine.request import Request

__all__ = [
    "Cancellation",
    "Constraint",
    "ConstraintSource",
    "Counts",
    "Embedder",
    "Engine",
    "Executor",
    "Handle",
    "Likelihood",
    "Listener",
    "Request",
    "declared_pooling",
]
