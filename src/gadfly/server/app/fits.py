"""Whether models of the catalogue will run on this machine: what `gadfly fit` says, with nothing measured."""

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from gadfly.evaluate.fit import Memory
from gadfly.evaluate.fit_catalogue import candidate
from gadfly.evaluate.fit_probe import held_formats
from gadfly.evaluate.fit_report import Machine, Report, report
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.memory import memory_available, memory_here
from gadfly.llm import DEFAULT_CONTEXT

__all__ = ["Fits"]

_STALE = 60.0  # seconds: judging the whole catalogue takes half of one


class Fits:
    """`folder` is where models are put."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._catalogue = Catalogue.load()
        self._known: tuple[float, frozenset[str], Mapping[str, Mapping[str, Any]]] | None = None

    def judge(self, here: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """By name a verdict (comfortable, tight, no; planned: nowhere yet), why, and the numbers to word it with.

        As of the last minute. Not for the thread of an event loop.
        """
        names, now = frozenset(here), self._clock()
        if self._known is None or self._known[1] != names or now - self._known[0] > _STALE:
            self._known = now, names, self._judge(names)
        return self._known[2]

    def _judge(self, here: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        existing = next(path for path in (self._folder, *self._folder.parents) if path.is_dir())
        memory = Memory(memory_here(), memory_available())
        machine = Machine(memory, shutil.disk_usage(existing).free, held_formats())
        models = self._catalogue.values()
        told = [report(candidate(one, one.name in here), machine, min(one.context, DEFAULT_CONTEXT)) for one in models]
        return {one.candidate.name: _table(one) for one in told}


def _table(told: Report) -> dict[str, Any]:
    """`needs` of memory as `format`, of `has`, of which others use `taken`; `files` on a disk with `left`; bytes."""
    return {
        "verdict": _word(told),
        "answer": told.answer,
        "needs": told.row.needs.total,
        "format": told.row.version.name,
        "published": told.given.version.name,
        "has": told.machine.memory.total,
        "taken": told.machine.memory.in_use,
        "files": told.disk,
        "left": told.machine.disk_free,
    }


def _word(told: Report) -> str:
    if told.candidate.obstacle:
        return "planned"
    return told.chosen.comfort if told.runs and told.chosen else "no"
