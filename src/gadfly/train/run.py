"""From a recipe to an adapter: reads the base and the data, trains with checkpoints, writes what came of it.

Everything that a run depends on is in the identity of its checkpoint, so that `train` goes on after an interruption and
refuses to after a change of the recipe. What is shown meanwhile is the affair of whoever calls.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gadfly.answer import Prompts
from gadfly.errors import RequestError
from gadfly.hub.library import Library
from gadfly.ops.torch import Torch
from gadfly.settings import home
from gadfly.train.chats import Lesson, Problem, read_lessons
from gadfly.train.checkpoint import identity, resume, save
from gadfly.train.recipe import Recipe
from gadfly.train.sample import Sample, sample
from gadfly.train.training import Report, Training
from gadfly.weight import Weights
from gadfly.weights.adapter import Adapter, Pair, write_adapter
from gadfly.weights.load import ModelFile, open_model

__all__ = ["Watcher", "Workshop", "open_workshop"]

SAVE_EVERY = 60.0  # seconds
EVALUATIONS = 10  # in a run


class Watcher(Protocol):
    """Hears what happens in a run."""

    def problem(self, file: Path, problem: Problem) -> None: ...
    def began(self, training: Training, train: int, valid: int, resumed: bool) -> None: ...
    def advanced(self, training: Training, report: Report) -> None: ...
    def evaluated(self, step: int, loss: float) -> None: ...


@dataclass(eq=False)
class Workshop:
    """A run that is ready to begin, or to go on."""

    recipe: Recipe
    file: ModelFile
    training: Training
    valid: list[Sample]
    run: str
    watcher: Watcher

    @property
    def checkpoints(self) -> Path:
        """Beside the adapter, which is there when it is finished and not before."""
        return self.recipe.folder.with_name(f"{self.recipe.folder.name}.run")

    def work(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end and write the adapter, or until `stopped`: then a checkpoint is kept, and it is False."""
        training, folder = self.training, self.checkpoints
        folder.mkdir(parents=True, exist_ok=True)
        resumed = resume(folder, training, self.run)
        self.watcher.began(training, len(training.samples), len(self.valid), resumed)
        saved = time.monotonic()
        if not resumed:
            self._evaluate()
        while training.step < training.steps:
            if stopped():
                save(folder, training, self.run)
                return False
            self.watcher.advanced(training, training.advance())
            if training.step % max(1, training.steps // EVALUATIONS) == 0 or training.step == training.steps:
                self._evaluate()
            if time.monotonic() - saved > SAVE_EVERY:
                save(folder, training, self.run)
                saved = time.monotonic()
        save(folder, training, self.run)
        self._write()
        return True

    def _evaluate(self) -> None:
        if self.valid:
            self.watcher.evaluated(self.training.step, self.training.evaluate(self.valid))

    def _write(self) -> None:
        recipe, training = self.recipe, self.training
        pairs = {
            path: Pair(one.down.detach().cpu().numpy(), one.up.detach().cpu().numpy())
            for path, one in training.factors.items()
        }
        facts = {
            "format": "gadfly-adapter",
            "version": 1,
            "base": recipe.base,
            "template": _digest(str(self.file.metadata.get("tokenizer.chat_template", ""))),
            "lora": asdict(recipe.lora),
            "plan": asdict(recipe.plan),
            "samples": len(training.samples),
            "steps": training.steps,
            "run": self.run,
        }
        write_adapter(recipe.folder, Adapter(pairs, recipe.lora.scale, facts), self.file.page, recipe.base)


def open_workshop(recipe: Recipe, watcher: Watcher, threads: int | None = None) -> Workshop:
    """Read the base and the data of a recipe; lines that cannot be learnt are told to the watcher and left out.

    Raises NotFoundError, RequestError if nothing is left to learn, or if there is something at the recipe's `out`.
    """
    if recipe.folder.exists():
        raise RequestError(f"{recipe.folder} exists; remove it, or choose another `out`")
    path = Library(home()).require(recipe.base)
    if threads is not None:
        torch.set_num_threads(threads)
    file = open_model(path)
    prompts = Prompts.of(file)
    longest = min(recipe.longest, file.spec.context)
    train, digest = _samples(recipe.train_file, prompts, longest, watcher)
    valid, _ = _samples(recipe.valid_file, prompts, longest, watcher) if recipe.valid_file else ([], "")
    if not train:
        raise RequestError(f"{recipe.train_file} has nothing that can be learnt")
    backend = Torch()
    spec = file.spec.within(longest)
    training = Training(spec, _placed(file, backend), train, recipe.lora, recipe.plan, backend)
    run = identity(path.stat().st_size, digest, longest, json.dumps([asdict(recipe.lora), asdict(recipe.plan)]))
    return Workshop(recipe, file, training, valid, run, watcher)


def _samples(path: Path, prompts: Prompts, longest: int, watcher: Watcher) -> tuple[list[Sample], str]:
    """Of every line that can be learnt, and a digest of them all."""
    samples, digest = [], hashlib.sha256()
    for found in read_lessons(path):
        try:
            if isinstance(found, Lesson):
                samples.append(sample(found, prompts, longest))
                digest.update(samples[-1].ids.tobytes() + samples[-1].learnt.tobytes())
                digest.update(np.array([samples[-1].weight, samples[-1].strength]).tobytes())
            else:
                watcher.problem(path, found)
        except RequestError as error:
            watcher.problem(path, Problem(found.line, str(error)))
    return samples, digest.hexdigest()


def _placed(file: ModelFile, backend: Torch) -> Weights[Tensor]:
    placed = file.weights.map(backend.place)
    file.release()
    return placed


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
