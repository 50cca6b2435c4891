"""Where the time of a decode step goes: by kind of instruction, in waiting for one another, and in Python.

    python benchmarks/step.py [MODEL] [--threads 1,2] [--sequences 1,4,8,16] [--kernels avx2] [--tokens 32]
        [--results FILE] [--json]

Steps are the engine's, greedy, without guessing ahead, after a short prompt each. First they run as always: a step's
time, how much of it is spent outside the native program, and how much of that in sampling, measured by drawing once
more from logits that were kept. Then the program watches itself, which costs about a percent: microseconds per step and
thread for each kind of instruction, `waiting` being what a thread loses at instructions that others have not finished.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from gadfly.batch import Batch
from gadfly.completion import Sampling
from gadfly.engine import Request
from gadfly.engine.engine import Engine
from gadfly.engine.executor import Executor
from gadfly.engine.sampling import Sampler
from gadfly.hub.library import Library
from gadfly.llm import PAGE_SIZE, STEP_TOKENS
from gadfly.ops import Floats
from gadfly.ops.native import Native, Replay
from gadfly.settings import home
from gadfly.weights.load import open_model
from result import Result, add_options

PROMPT = 16
KEPT = 4  # steps whose logits are kept to time sampling
GREEDY = Sampling(temperature=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--sequences", default="1")
    parser.add_argument("--kernels")
    parser.add_argument("--tokens", type=int, default=32)
    add_options(parser)
    given = parser.parse_args()
    path = Library(home()).resolve(given.model)
    if path is None:
        parser.error(f"there is no model {given.model} here; see `gadfly list`")
    result = Result("step")
    for threads in map(int, given.threads.split(",")):
        model = open_model(path)
        native: Any = Watched(threads, given.kernels)
        weights = model.weights.map(native.place)
        for sequences in map(int, given.sequences.split(",")):
            pages = sequences * -(-(PROMPT + 2 * given.tokens + sequences + 1) // PAGE_SIZE)
            native.timed = None
            executor = Executor(model.spec, weights, native, pages, PAGE_SIZE)
            engine = Engine(
                executor.step, model.spec.vocab, model.spec.context, pages, PAGE_SIZE, STEP_TOKENS, speculate=False
            )
            words: dict[str, Any] = {
                "model": path.stem,
                "kernels": native.kernels,
                "threads": threads,
                "sequences": sequences,
            }
            for what, micros in measure(engine, native, sequences, given.tokens).items():
                result.add("us", micros, **words, what=what)
    result.publish(given)


@dataclass
class Timed:
    """A recorded program that notes when it is called and when it returns."""

    replay: Replay
    seconds: list[float] = field(default_factory=list)
    kept: list[Floats] = field(default_factory=list)

    def __call__(self, batch: Batch) -> Floats:
        began = perf_counter()
        logits = self.replay(batch)
        self.seconds.append(perf_counter() - began)
        if len(self.kept) < KEPT:
            self.kept.append(logits)
        return logits

    def expert_use(self) -> list[list[int]]:
        return self.replay.expert_use()


class Watched(Native):
    """The native backend, with what is timed at hand: of the programs of an executor, the one with the head."""

    timed: Timed | None = None

    def compile(self, forward: Callable[..., Any]) -> Timed | Replay:  # type: ignore[override]
        replay = super().compile(forward)
        if self.timed:
            return replay
        self.timed = Timed(replay)
        return self.timed


def measure(engine: Engine, native: Watched, sequences: int, tokens: int) -> dict[str, list[float]]:
    """Microseconds: of each step, and the means of each kind of instruction, the costliest first."""
    prompts = [tuple((100 + 7 * i + 31 * n) % engine.vocab for i in range(PROMPT)) for n in range(sequences)]
    longest = 2 * tokens + sequences + 1
    handles = [engine.submit(Request(prompt, longest, GREEDY, ignore_eos=True)) for prompt in prompts]
    while not all(handle.ids for handle in handles):
        engine.step()
    timed = native.timed
    assert timed is not None
    timed.seconds.clear()
    timed.kept.clear()
    steps = [clocked(engine.step) for _ in range(tokens)]
    outside = [step - inside for step, inside in zip(steps, timed.seconds, strict=True)]
    sampler = Sampler(GREEDY)
    drawn = [clocked(lambda: [sampler.draw(row, (), 0) for row in logits]) for logits in timed.kept]  # noqa: B023

    timed.replay.program.profile()
    for _ in range(tokens):
        engine.step()
    threads = timed.replay.pool.threads
    costs: dict[str, float] = {}
    for name, working, waiting in timed.replay.program.costs:
        costs[name] = costs.get(name, 0) + 1e6 * working / tokens / threads
        costs["waiting"] = costs.get("waiting", 0) + 1e6 * waiting / tokens / threads
    sampling = median(drawn)
    found = {
        "step": steps,
        "outside the program, sampling apart": [seconds - sampling for seconds in outside],
        "sampling": drawn,
    }
    kinds = {f"in the program: {name}": [cost] for name, cost in sorted(costs.items(), key=lambda item: -item[1])}
    return {what: [1e6 * seconds for seconds in taken] for what, taken in found.items()} | kinds


def clocked(call: Callable[[], Any]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


if __name__ == "__main__":
    main()
