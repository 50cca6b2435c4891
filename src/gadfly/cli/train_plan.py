"""gadfly train --plan: what a run will take, and what it will learn from."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from gadfly.train.estimate import Estimate
    from gadfly.train.recipe import Recipe
    from gadfly.train.run import Watcher

__all__ = ["show_estimate"]


def show_estimate(recipe: "Recipe", watcher: "Watcher", threads: int | None, as_json: bool) -> None:
    from gadfly.train.estimate import estimate_run

    estimate = estimate_run(recipe, watcher, threads)
    if as_json:
        click.echo(
            json.dumps({"at": round(time.time(), 3), "event": "plan", "seconds": estimate.seconds, **asdict(estimate)})
        )
        return
    for line in lines(estimate):
        click.echo(line)


def lines(estimate: "Estimate") -> Iterator[str]:
    yield (
        f"{estimate.samples:,} samples to learn from, {estimate.valid:,} to judge by; {estimate.tokens:,} tokens in an "
        f"epoch, {estimate.learnt:,} of them learnt"
    )
    if estimate.cut:
        yield f"{estimate.cut:,} are as long as `longest` lets them be: what comes after that is cut"
    if estimate.duplicates:
        yield f"{estimate.duplicates:,} say the same as one before"
    yield f"{estimate.parameters:,} numbers to learn in {estimate.steps:,} steps"
    parts = [
        (estimate.opening_seconds, "to begin"),
        (estimate.asking_seconds, "to ask the model what it is to keep"),
        (estimate.lower_seconds, "for the layers below the adapter, once"),
        (estimate.step_seconds, "to learn"),
        (estimate.judging_seconds, "to judge"),
        (estimate.speaking_seconds, "to say something"),
    ]
    yield f"time    {_time(estimate.seconds)}: " + ", ".join(f"{_time(part)} {what}" for part, what in parts if part)
    yield f"memory  {estimate.memory / 1e9:.1f} GB"
    yield f"disk    {estimate.disk / 1e9:.2g} GB while it runs, {estimate.disk_afterwards / 1e9:.2g} GB afterwards"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
