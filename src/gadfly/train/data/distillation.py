"""Lessons from a larger model: it answers the prompts of a file, and what it said is a file of conversations to learn.

Each answer is written when it is there, in the order of the prompts, with where it came from (and, if the teacher was
asked for that, with what else it found `likely`):

    {"messages": [..., {"role": "assistant", "content": "…"}],
     "meta": {"source": "teacher", "model": "…", "licence": "…", "id": "…", "made": "2026-11-26"}}

What stands in the file is not asked for again, so the same call goes on after an interruption.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from gadfly.chat.licences import Verdict, training_verdict
from gadfly.chat.values import Provenance
from gadfly.conversation import Message
from gadfly.errors import RequestError
from gadfly.lines import Problem, Row, kind_of, line_of, read_lines, read_text
from gadfly.train.data.chats import MOST_MESSAGES, message_of
from gadfly.train.data.likely import Choice, written
from gadfly.train.data.teacher import Teacher
from gadfly.weights.disk import writing

__all__ = ["Distilled", "Listener", "distil", "verdict"]

AT_ONCE = 4  # questions


class Listener(Protocol):
    """Hears what happens."""

    def problem(self, file: Path, problem: Problem) -> None: ...
    def answered(self, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Distilled:
    """Lessons in the file, how many of them are new, and prompts that have none. `finished` unless it was stopped."""

    lessons: int
    new: int
    failed: int
    finished: bool


@dataclass(frozen=True)
class _Prompt:
    messages: tuple[Message, ...]
    line: int

    @property
    def id(self) -> str:
        said = json.dumps([[one.role, one.content] for one in self.messages])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def verdict(teacher: Teacher) -> Verdict:
    """Whether other models may be trained on what it says."""
    return training_verdict(Provenance(model=teacher.name, licence=teacher.licence or None))


def distil(
    prompts: Path,
    target: Path,
    teacher: Teacher,
    listener: Listener,
    stopped: Callable[[], bool] = lambda: False,
    at_once: int = AT_ONCE,
    most: int | None = None,
    system: str | None = None,
) -> Distilled:
    """Have the first `most` prompts answered, `at_once` at a time, and append the lessons to `target`.

    Prompts are lines of {"prompt": "…"}, {"prompt": [messages]} or {"messages": […]}, whose last answer is left out; or
    of a .txt file, a prompt each; `system` leads those that have no system prompt. Raises NotFoundError or RequestError
    if the file cannot be read, CapacityError if the disk is full or the teacher is out of reach: what was answered by
    then is kept.
    """
    led = (_led(one, system) for one in islice(_prompts(prompts, listener), most))
    asked = {one.id: one for one in led}
    done = _known(target)
    open_ones = [one for one in asked.values() if one.id not in done]
    kept, new, failed = len(asked) - len(open_ones), 0, 0
    target.parent.mkdir(parents=True, exist_ok=True)
    waiting: deque[tuple[_Prompt, Future[tuple[str, tuple[Choice, ...]]]]] = deque()
    coming = iter(open_ones)
    with writing(target), target.open("ab") as file, ThreadPoolExecutor(at_once) as pool:
        try:
            while True:
                if not stopped():
                    for one in islice(coming, 2 * at_once - len(waiting)):
                        waiting.append((one, pool.submit(teacher.answer, one.messages, int(one.id[:7], 16))))
                else:  # what is being answered is taken along
                    waiting = deque(each for each in waiting if not each[1].cancel())
                if not waiting:
                    break
                one, future = waiting.popleft()
                try:
                    file.write(_line(one, *future.result(), teacher))
                    file.flush()
                    new += 1
                except RequestError as error:
                    failed += 1
                    listener.problem(prompts, Problem(one.line, str(error)))
                listener.answered(kept + new + failed, len(asked))
        finally:
            for _, future in waiting:
                future.cancel()
            os.fsync(file.fileno())
    return Distilled(kept + new, new, failed, kept + new + failed == len(asked))


def _led(prompt: _Prompt, system: str | None) -> _Prompt:
    if system is None or prompt.messages[0].role == "system":
        return prompt
    return replace(prompt, messages=(Message("system", system), *prompt.messages))


def _line(prompt: _Prompt, answer: str, choices: Sequence[Choice], teacher: Teacher) -> bytes:
    messages: list[dict[str, Any]] = [{"role": one.role, "content": one.content} for one in prompt.messages]
    for message in messages:
        if message["role"] == "assistant":
            message["train"] = False
    meta = {
        "source": "teacher",
        "model": teacher.name,
        **({"licence": teacher.licence} if teacher.licence else {}),
        "id": prompt.id,
        "made": datetime.now(UTC).date().isoformat(),
    }
    likely = {"likely": written(choices)} if choices else {}
    return line_of({"messages": [*messages, {"role": "assistant", "content": answer, **likely}], "meta": meta})


def _known(target: Path) -> set[str]:
    """Ids of the prompts that have been answered. Half a line at the end, of a process that died, is taken off."""
    if not target.exists():
        return set()
    with writing(target), target.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)
    rows = (row.table.get("meta") for row in read_lines(target) if isinstance(row, Row))
    return {str(meta.get("id")) for meta in rows if isinstance(meta, dict)}


def _prompts(path: Path, listener: Listener) -> Iterator[_Prompt]:
    if path.suffix.lower() == ".txt":
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if line.strip():
                yield _Prompt((Message("user", line.strip()),), number)
        return
    for row in read_lines(path):
        try:
            if isinstance(row, Row):
                yield _Prompt(_asked(row), row.line)
            else:
                listener.problem(path, row)
        except ValueError as error:
            assert isinstance(row, Row)
            listener.problem(path, Problem(row.line, str(error)))


def _asked(row: Row) -> tuple[Message, ...]:
    name = "prompt" if "prompt" in row.table else "messages"
    given = row.table.get(name)
    if isinstance(given, str) and given.strip():
        return (message_of({"role": "user", "content": given.strip()}, name),)
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_MESSAGES:
        raise ValueError(f"{name} is {kind_of(given)}; expected text or a list of 1 to {MOST_MESSAGES} messages")
    messages = [message_of(item, f"message {number}") for number, item in enumerate(given, 1)]
    while messages and messages[-1].role == "assistant":
        messages.pop()
    if not messages:
        raise ValueError(f"{name} asks nothing: only the assistant speaks in it")
    return tuple(messages)
