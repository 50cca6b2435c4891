"""What a run will take, told before it begins: some of its steps are done and timed, and nothing of it is kept.

Time is counted in tokens, since packs have no padding; memory is what the process had while it did the step with the
largest pack of the run. A machine that is busier later is slower later.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gadfly.hub.memory import peak_memory
from gadfly.train.objective import Numbers
from gadfly.train.packing import Sequences, pack_numbers
from gadfly.train.recipe import NEW, Recipe
from gadfly.train.run import Watcher, Workshop, checkpoints, is_judged, open_workshop
from gadfly.train.training import Training
from gadfly.train.trial import SHARE

__all__ = ["Estimate", "estimate_run"]

JUDGED = 16  # samples that judging is timed with


@dataclass(frozen=True)
class Estimate:
    """Tokens are those of an epoch. Sizes are in bytes."""

    samples: int
    valid: int
    tokens: int
    learnt: int
    cut: int  # sequences that are as long as they may be
    duplicates: int  # samples that are the same as one before
    parameters: int
    steps: int
    opening_seconds: float
    asking_seconds: float  # once, for what the model is held to
    lower_seconds: float  # once, for the layers below the adapter
    step_seconds: float  # all of them
    judging_seconds: float  # all of it
    speaking_seconds: float  # likewise
    memory: int
    disk: int  # at most, while it runs
    disk_afterwards: int

    @property
    def seconds(self) -> float:
        before = self.opening_seconds + self.asking_seconds + self.lower_seconds
        return before + self.step_seconds + self.judging_seconds + self.speaking_seconds


def estimate_run(recipe: Recipe, watcher: Watcher, threads: int | None = None) -> Estimate:
    """Raises what opening the run does."""
    began, made = time.monotonic(), checkpoints(recipe)
    fresh = recipe.base == NEW and not made.exists()
    try:
        workshop = open_workshop(recipe, watcher, threads)
        return _estimate(workshop, time.monotonic() - began)
    finally:
        if fresh:
            shutil.rmtree(made, ignore_errors=True)


def _estimate(workshop: Workshop, opening: float) -> Estimate:
    training, valid = workshop.training, workshop.valid.sequences
    samples = training.objective.sequences
    with TemporaryDirectory() as folder:
        asking = _timed(lambda: workshop.hold_to_answers(Path(folder))) if workshop.interview else 0.0
    everything = workshop.sequences
    sizes = [_size(_samples(training, step)) for step in range(training.steps)]
    largest = max(range(training.steps), key=lambda step: _largest_pack(training, step))
    steps = [largest, 0 if largest or training.steps == 1 else 1]
    lower, kept = training.trainable.lower, 0
    lower_seconds = 0.0
    with TemporaryDirectory() as folder:
        if lower is not None and workshop.keeps_lower(Path(folder)):
            kept = lower.size(everything)
            again = set(everything)
            met = [one for step in steps for sample in _samples(training, step) for one in sample if one in again]
            met += [one for sample in valid[:JUDGED] for one in sample]
            seconds = _timed(lambda: lower.keep(Path(folder) / "states", "", met))
            lower_seconds = seconds / sum(map(len, met)) * sum(map(len, everything))
        judging, speaking = _judging(workshop, valid), _speaking(workshop)
        first, later = _stepping(training, steps, sizes)
    epoch = sum(map(len, (one for sample in samples for one in sample)))
    in_first = sum(sizes[: math.ceil(len(samples) / training.plan.batch)])
    parameters = sum(one.numel() for one in training.trainable.parameters.values())
    numbers = parameters
    if workshop.recipe.makes_model:
        weights = training.trainable.weights
        numbers = sum(
            {id(weights[path]): math.prod(shape) for path, shape in training.trainable.spec.shapes()}.values()
        )
    checkpoint, result = 12 * parameters, 4 * numbers  # what is learnt, and the optimiser's two memories of it
    times = 1 + sum(is_judged(step + 1, training.steps) for step in range(training.steps))
    stepping = first * in_first + later * (sum(sizes) - in_first)
    return Estimate(
        samples=len(samples),
        valid=len(valid),
        tokens=epoch,
        learnt=int(sum(one.learnt.sum() for sample in samples for one in sample)),
        cut=sum(len(one) >= workshop.longest for sample in samples for one in sample),
        duplicates=len(samples) - len({_content(sample) for sample in samples}),
        parameters=parameters,
        steps=training.steps,
        opening_seconds=opening,
        asking_seconds=asking,
        lower_seconds=lower_seconds,
        step_seconds=stepping,
        judging_seconds=judging * times,
        speaking_seconds=speaking * 2 + min(speaking * (times - 2), SHARE * stepping),
        memory=peak_memory(),
        disk=2 * checkpoint + result + kept,  # a checkpoint is written beside the one before
        disk_afterwards=checkpoint + result,
    )


def _stepping(training: Training, steps: Sequence[int], sizes: Sequence[int]) -> tuple[float, float]:
    """Seconds per token, of samples that are met for the first time, and of those met again."""

    def rate() -> float:
        seconds = 0.0
        for step in steps:
            training.step = step
            seconds += training.advance().seconds
        return seconds / sum(sizes[step] for step in steps)

    first = rate()
    return first, rate() if training.objective.memory else first  # what the base says of a sample is asked once


def _judging(workshop: Workshop, valid: Sequence[Sequences]) -> float:
    """Seconds, once."""
    if not valid:
        return 0.0
    seconds = _timed(lambda: workshop.training.evaluate(workshop.valid, JUDGED))
    return seconds * _size(valid) / _size(valid[:JUDGED])


def _speaking(workshop: Workshop) -> float:
    """Seconds, once."""
    trial, model = workshop.trial, workshop.training.trainable
    return _timed(lambda: trial.ask(model)) if trial is not None and trial.due(0, 1) else 0.0


def _parts(training: Training, step: int) -> Iterator[tuple[Sequence[Sequences], Numbers]]:
    """What a step is of: samples to learn, and those that the model is held to."""
    yield training.objective.sequences, training.numbers(step)
    if training.hold is not None:
        yield training.hold.sequences, training.hold.numbers(step)


def _samples(training: Training, step: int) -> list[Sequences]:
    return [samples[number] for samples, numbers in _parts(training, step) for number in numbers]


def _largest_pack(training: Training, step: int) -> int:
    return max(
        _size([samples[number] for number in pack])
        for samples, numbers in _parts(training, step)
        for pack in pack_numbers(samples, numbers, training.plan.pack_tokens)
    )


def _size(samples: Sequence[Sequences]) -> int:
    return sum(len(one) for sample in samples for one in sample)


def _content(sample: Sequences) -> tuple[bytes, ...]:
    return tuple(part for one in sample for part in (one.ids.tobytes(), one.learnt.tobytes()))


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
