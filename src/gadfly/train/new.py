"""A new model of Grok-1's architecture, as large as a budget of size or time suggests: one dial, the rest follows.

Its width is 64 for every layer, and it is to see twenty tokens for each number that a token is multiplied with
(Hoffmann et al., arXiv 2203.15556). A size says how many numbers those are. A time says how many tokens: ever deeper
models are timed for a few steps on this machine, and the deepest is taken that sees enough of them. What was chosen
is kept beside the model, so that a run which goes on asks no clock.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gadfly.convert.fresh import write_fresh
from gadfly.convert.sizes import Sizes, draw_up, plain_pattern, sizes_for
from gadfly.convert.tokenizer_source import BYTES, tokenizer_from, vocabulary_size
from gadfly.errors import ModelFileError, RequestError
from gadfly.hub.library import Library
from gadfly.model.cost import Cost
from gadfly.ops.torch import Torch
from gadfly.settings import home
from gadfly.spec import ModelSpec
from gadfly.train.data.sample import Sample
from gadfly.train.objective import Objective, Supervised
from gadfly.train.plan import Plan
from gadfly.train.trainable import all_of
from gadfly.train.training import Training
from gadfly.weight import Plain, Weight, Weights

__all__ = ["NewConfig", "for_budget", "make_new", "planned_tokens"]

PATTERN = plain_pattern("grok1")
TOKENS = 20  # per number that a token meets
DEEPEST = 64  # layers that are tried
FACTS = "budget.json"
SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600}
NUMBERS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMB]?)", re.ASCII)
TIME = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h)", re.ASCII)


@dataclass(frozen=True)
class NewConfig:
    """`budget` is a number of parameters ("12M") or a time on this machine ("20 min", "8 h").

    `tokenizer` is that of a model, or bytes. Every token goes to two of the `experts`; one alone makes a dense model.
    """

    budget: str = "10 min"
    tokenizer: str = BYTES
    experts: int = 8
    context: int = 2048

    def __post_init__(self) -> None:
        if not 1 <= self.experts <= 256:
            raise RequestError(f"experts is {self.experts}; choose from 1, which is a dense model, to 256")
        if not 16 <= self.context <= 2**20:
            raise RequestError(f"context is {self.context}; choose from 16 to {2**20} tokens")
        if self.seconds is None and not SIZE.fullmatch(self.budget):
            raise RequestError(f"budget is {self.budget!r:.40}; write a size as 12M, or a time as 20 min or 8 h")

    @property
    def seconds(self) -> float | None:
        """If the budget is a time."""
        match = TIME.fullmatch(self.budget)
        return float(match[1]) * SECONDS[match[2]] if match else None

    @property
    def parameters(self) -> int:
        match = SIZE.fullmatch(self.budget)
        assert match is not None
        return int(float(match[1]) * NUMBERS[match[2]])


def make_new(folder: Path, config: NewConfig, plan: Plan, longest: int, told: Callable[[str], None]) -> None:
    """Write a model with random weights into `folder`, unless it is there already. `longest` tokens are read at once.

    Raises RequestError if that was made for something else.
    """
    if folder.exists():
        if _facts(folder).get("new") != asdict(config):
            raise RequestError(
                f"{folder} was begun with another budget, tokenizer or kind of model; choose another `out`, or delete "
                f"{folder.parent} to begin anew"
            )
        return
    files = tokenizer_from(None if config.tokenizer == BYTES else Library(home()).require(config.tokenizer))
    sizes = Sizes(
        vocab=vocabulary_size(files), experts=config.experts, selected=min(2, config.experts), context=config.context
    )
    if config.seconds is None:
        spec = draw_up(PATTERN, sizes_for(PATTERN, config.parameters, sizes, tied=True))
        tokens = TOKENS * _met(spec)
    else:
        spec, tokens = _timed(sizes, config.seconds, plan, longest, told)
    facts = {FACTS: (json.dumps({"new": asdict(config), "tokens": tokens}) + "\n").encode()}
    write_fresh(folder, PATTERN.page, spec, plan.seed, "F32", True, {**files, **facts}, lambda _done, _total: None)


def planned_tokens(folder: Path) -> int:
    """That the model of this folder is to learn."""
    tokens = _facts(folder).get("tokens")
    if not isinstance(tokens, int):
        raise ModelFileError(f"{folder / FACTS} does not say how long to learn; delete {folder.parent} to begin anew")
    return tokens


def _facts(folder: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{folder / FACTS} cannot be read: {error}; delete {folder.parent} to begin anew"
        ) from error
    return facts if isinstance(facts, dict) else {}


def for_budget(plan: Plan, objective: Objective, tokens: int) -> Plan:
    """The plan, with as many epochs as it takes to see so many tokens."""
    there = sum(len(one) for sequences in objective.sequences for one in sequences)
    return replace(plan, epochs=min(max(tokens / there, 0.001), 10_000.0))


def _met(spec: ModelSpec) -> int:
    """Numbers that a token is multiplied with, the embedding's included once."""
    return Cost.of(spec, tied=True).active_parameters


def _timed(
    sizes: Sizes, seconds: float, plan: Plan, longest: int, told: Callable[[str], None]
) -> tuple[ModelSpec, int]:
    """The deepest model that sees enough in this time, and how many tokens it will see."""
    chosen: tuple[ModelSpec, int] | None = None
    for depth in range(1, DEEPEST + 1):
        spec = draw_up(PATTERN, replace(sizes, layers=depth, dim=64 * depth))
        tokens = int(seconds / _seconds_per_token(spec, plan, longest))
        told(f"a model of {_met(spec):,} numbers per token would see {tokens:,} tokens in that time")
        if chosen is not None and tokens < TOKENS * _met(spec):
            break
        chosen = spec, tokens
    assert chosen is not None
    return chosen


def _seconds_per_token(spec: ModelSpec, plan: Plan, longest: int) -> float:
    """Of the faster of two steps, after one that finds everything cold."""
    random = torch.Generator().manual_seed(0)
    drawn: Mapping[str, Weight] = {
        path: Plain((torch.randn(*shape, generator=random) * shape[-1] ** -0.5).numpy())
        for path, shape in spec.shapes()
    }
    backend = Torch()
    weights = Weights({**drawn, "output": drawn["embedding"]}).map(backend.place)
    length = min(spec.context, longest, plan.pack_tokens)
    ids = np.random.default_rng(0).integers(0, spec.vocab, (max(1, plan.pack_tokens // length), length), np.int32)
    samples = Supervised([Sample(row, np.arange(length) > 0) for row in ids])
    training = Training(all_of(spec, weights, backend, new=True), samples, replace(plan, batch=len(ids), epochs=3.0))
    training.advance()
    return min(report.seconds / report.tokens for report in (training.advance(), training.advance()))
