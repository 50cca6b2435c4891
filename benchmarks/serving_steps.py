"""Whether answers keep flowing while a long prompt arrives, and whether a short one has to wait for it.

    python benchmarks/serving_steps.py [--model M] [--threads N] [--kernels K] [--writers N] [--prompt N] [--share X]
                                       [--results FILE] [--json]

Some clients are in the middle of answers; another asks with a long prompt, and when half of that has been read, a third
one with a short prompt. Found are milliseconds between tokens of the writers before, during and after the long prompt
(when their own texts are longer, too), medians and 99th percentiles, and seconds to the first token of both prompts.
`--share inf` lets prompts take all of a step, as in an engine that knows nothing of time.
"""

import argparse
from time import perf_counter

import numpy as np

import gadfly
from gadfly.completion import Sampling
from gadfly.engine import Engine, Handle, Request
from result import Result, add_options

PAGE_SIZE, STEP_TOKENS = 16, 256
IDLE_TOKENS = 150  # of each writer, before anybody else comes
SHORT = 64


class Ear:
    """When tokens of a request came."""

    def __init__(self) -> None:
        self.times = [perf_counter()]  # and when it was asked for

    def __call__(self, _: Handle) -> None:
        self.times.append(perf_counter())

    def first(self) -> float:
        return self.times[1] - self.times[0]


def gaps(ears: list[Ear], begin: float, end: float) -> dict[str, float]:
    """Milliseconds between the tokens that came in a time."""
    times = [[time for time in ear.times[1:] if begin <= time <= end] for ear in ears]
    found = np.concatenate([np.diff(one) for one in times]) * 1000
    return {f"{share} %": float(np.percentile(found, share)) for share in (50, 99)}


def text(number: int, length: int, vocab: int) -> tuple[int, ...]:
    """A prompt that has no page in common with another."""
    return tuple(int(token) for token in np.random.default_rng(number).integers(vocab, size=length))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--kernels")
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=7500)
    parser.add_argument("--share", type=float, default=1.0)
    add_options(parser)
    asked = parser.parse_args()
    llm = gadfly.load(asked.model, threads=asked.threads, kernels=asked.kernels)
    vocab, writing = llm.spec.vocab, Sampling(temperature=1, seed=1)
    executor, pages = llm.executor(2 * llm.context + 2048 * asked.writers)
    engine = Engine(executor.step, vocab, llm.context, len(pages), PAGE_SIZE, STEP_TOKENS, prompt_share=asked.share)
    ears = [Ear() for _ in range(asked.writers)]
    for number, ear in enumerate(ears):
        engine.submit(Request(text(number, SHORT, vocab), sampling=writing, client=f"writer {number}"), ear)
    while min(len(ear.times) for ear in ears) < IDLE_TOKENS:
        engine.step()
    begin, long, short = perf_counter(), Ear(), Ear()
    before = engine.counts().prompt_tokens
    engine.submit(Request(text(-1 % 2**32, asked.prompt, vocab), max_tokens=1, client="long"), long)
    while engine.counts().prompt_tokens - before < asked.prompt / 2:
        engine.step()
    short.times[0] = perf_counter()
    engine.submit(Request(text(2**31, SHORT, vocab), max_tokens=1, client="short"), short)
    while len(long.times) < 2 or len(short.times) < 2:
        engine.step()
    end = perf_counter()
    for _ in range(IDLE_TOKENS):
        engine.step()
    found = Result("serving, step by step")
    words = {"model": asked.model, "kernels": llm.kernels, "writers": asked.writers, "share": asked.share}
    times = {"before": (0, begin), "during": (begin, end), "after": (end, perf_counter())}
    for when, (first, last) in times.items():
        for share, value in gaps(ears, first, last).items():
            found.add("ms", [value], **words, of=f"between tokens, {when} the long prompt, {share}")
    for name, ear in (("long", long), ("short", short)):
        found.add("s", [ear.first()], **words, of=f"to the first token of the {name} prompt")
    found.publish(asked)


if __name__ == "__main__":
    main()
