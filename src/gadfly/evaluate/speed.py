"""Speed of an engine on a model file: tokens per second of reading a prompt and of writing an answer.

An engine under test is anything that can read and write a number of tokens (`Subject`); several are measured in one
run, taking turns A B B A, so that whatever else the machine does happens to all of them. Medians are reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Protocol

from gadfly.batch import Batch, Span
from gadfly.completion import Reads
from gadfly.llm import LLM

__all__ = ["Gadfly", "Speed", "Subject", "measure"]


class Subject(Protocol):
    name: str

    def read(self, tokens: int) -> float:
        """Seconds to read a fresh prompt of so many tokens."""

    def write(self, tokens: int) -> float:
        """Seconds to write so many tokens, one by one, after the prompt read last."""


@dataclass(frozen=True)
class Speed:
    """Tokens per second. Lists are the rounds, for a look at the noise."""

    name: str
    prefill_tokens: int
    decode_tokens: int
    prefill_rounds: tuple[float, ...]
    decode_rounds: tuple[float, ...]

    @property
    def prefill(self) -> float:
        return median(self.prefill_rounds)

    @property
    def decode(self) -> float:
        return median(self.decode_rounds)


def measure(subjects: Sequence[Subject], rounds: int, prefill_tokens: int, decode_tokens: int) -> list[Speed]:
    """Each subject does `rounds` rounds after one that does not count; every second round in reverse order."""
    prefill: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    decode: dict[str, list[float]] = {subject.name: [] for subject in subjects}
    for turn in range(rounds + 1):
        for subject in subjects if turn % 2 else reversed(subjects):
            reading, writing = subject.read(prefill_tokens), subject.write(decode_tokens)
            if turn:
                prefill[subject.name].append(prefill_tokens / reading)
                decode[subject.name].append(decode_tokens / writing)
    return [Speed(name, prefill_tokens, decode_tokens, tuple(prefill[name]), tuple(decode[name])) for name in prefill]


class Gadfly:
    """Our engine, without tokenizer and sampling, which other engines are not asked to do here either."""

    name = "gadfly"

    def __init__(self, llm: LLM, positions: int) -> None:
        self.reads: list[Reads] = []  # what experts on disk cost while an answer was written, if there are any
        self._llm = llm
        self._executor, self._pages = llm.executor(positions)
        self._vocab = llm.spec.vocab
        self._position = 0

    def read(self, tokens: int) -> float:
        began = perf_counter()
        self._position = 0
        self._step([(100 + 7 * i) % self._vocab for i in range(tokens)])
        return perf_counter() - began

    def write(self, tokens: int) -> float:
        began, before = perf_counter(), self._llm.reads()
        for i in range(tokens):
            self._step([(100 + 11 * i) % self._vocab])
        seconds, after = perf_counter() - began, self._llm.reads()
        if before and after:
            self.reads.append(replace(after.since(before), tokens=tokens, seconds=seconds))
        return seconds

    def _step(self, tokens: list[int]) -> None:
        self._executor.step(Batch.of([Span(tokens, self._position, self._pages, [len(tokens) - 1])]))
        self._position += len(tokens)
