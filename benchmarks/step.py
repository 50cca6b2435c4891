"""Where the time of a decode step goes: by kind of instruction, in waiting for one another, and in Python.

    python benchmarks/step.py [MODEL] [--threads 1,2] [--sequences 1,4,8,16] [--kernels avx2] [--tokens 32] [--json]

Steps are the engine's, greedy, without guessing ahead, after a short prompt each. First they run as always: a step's
time, how much of it is spent outside the native program, and how much of that in sampling, measured by drawing once
more from logits that were kept. Then the program watches itself, which costs about a percent: microseconds per step and
thread for each kind of instruction, `waiting` being what a thread loses at instructions that others have not finished.
"""

import argparse
import json
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
from gadfly.evaluate.machine import processor
from gadfly.hub.library import Library
from gadfly.llm import PAGE_SIZE, STEP_TOKENS
from gadfly.ops import Floats
from gadfly.ops.native import Native, Replay
from gadfly.settings import home
from gadfly.weights.load import open_model

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
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    path = Library(home()).resolve(given.model)
    if path is None:
        parser.error(f"there is no model {given.model} here; see `gadfly list`")
    if not given.json:
        print(processor())
    for threads in map(int, given.threads.split(",")):
        model = open_model(path)
        native = Watched(threads, given.kernels)
        weights = model.weights.map(native.place)
        for sequences in map(int, given.sequences.split(",")):
            pages = sequences * -(-(PROMPT + 2 * given.tokens + sequences + 1) // PAGE_SIZE)
            executor = Executor(model.spec, weights, native, pages, PAGE_SIZE)
            engine = Engine(
                executor.step, model.spec.vocab, model.spec.context, pages, PAGE_SIZE, STEP_TOKENS, speculate=False
            )
            found = {"model": path.name, "kernels": native.kernels, "threads": threads, "sequences": sequences}
            found |= measure(engine, native, sequences, given.tokens)
            print(json.dumps(found) if given.json else table(found), flush=True)


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
    """The native backend, with its latest program at hand."""

    def compile(self, forward: Callable[..., Any]) -> Timed:  # type: ignore[override]
        self.latest = Timed(super().compile(forward))
        return self.latest


def measure(engine: Engine, native: Watched, sequences: int, tokens: int) -> dict[str, Any]:
    """Everything in microseconds."""
    prompts = [tuple((100 + 7 * i + 31 * n) % engine.vocab for i in range(PROMPT)) for n in range(sequences)]
    longest = 2 * tokens + sequences + 1
    handles = [engine.submit(Request(prompt, longest, GREEDY, ignore_eos=True)) for prompt in prompts]
    while not all(handle.ids for handle in handles):
        engine.step()
    timed = native.latest
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
    return {
        "step": 1e6 * median(steps),
        "outside": 1e6 * median(outside),
        "sampling": 1e6 * median(drawn),
        "instructions": len(timed.replay.program.costs),
        "costs": costs,
    }


def clocked(call: Callable[[], Any]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


def table(found: dict[str, Any]) -> str:
    step, outside, sampling = found["step"], found["outside"], found["sampling"]
    setting = f"{found['model']}, {found['kernels']}, {found['threads']} threads, {found['sequences']} sequences"
    lines = [
        f"\n{setting}: {1e6 * found['sequences'] / step:.1f} tokens/s",
        f"{'step':<40}{step:>10.0f} µs",
        f"{'outside the program, sampling apart':<40}{outside - sampling:>10.0f} µs{(outside - sampling) / step:>8.1%}",
        f"{'sampling':<40}{sampling:>10.0f} µs{sampling / step:>8.1%}",
        f"the program, {found['instructions']} instructions, per thread",
    ]
    for name, cost in sorted(found["costs"].items(), key=lambda item: -item[1]):
        lines.append(f"    {name:<36}{cost:>10.0f} µs{cost / step:>8.1%}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
