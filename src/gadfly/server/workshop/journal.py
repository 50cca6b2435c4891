"""What a run has said so far, read as it grows: its curve, what it was judged to be, what it had to say.

A curve is thinned while it is read, so that a long run takes no more memory than a short one. A run that goes on from a
checkpoint forgets the steps after it, as they are done again.
"""

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Journal", "events_in", "judged_of", "point_of", "tried_of"]

POINTS = 1000  # of a curve; twice as many at most
KEPT = 200  # notes, problems, judgements and answers
RECENT = 4000  # events that whoever follows may be late by
BLOCK = 1 << 20  # bytes that are read at once
LONGEST = 100_000  # bytes of a line
PACE = 32  # steps that a speed is the mean of
_STEP = {"step", "loss", "learning_rate", "gradient_norm", "tokens", "seconds"}


@dataclass
class Journal:
    """Of one file, which need not be there yet. Safe to use in several threads.

    Where it is `followed`, the latest events are kept as they were, too.
    """

    path: Path
    points: list[dict[str, float]] = field(default_factory=list)
    judged: list[dict[str, Any]] = field(default_factory=list)
    tried: list[dict[str, Any]] = field(default_factory=list)
    notes: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    problems: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    plan: Mapping[str, Any] | None = None
    samples: int | None = None
    step: int = 0
    steps: int | None = None
    learnt: int = 0  # tokens
    followed: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = 0
        self._thinned = 1  # steps that a point is the mean of
        self._waiting: list[dict[str, float]] = []
        self._pace: deque[tuple[float, float, float]] = deque(maxlen=PACE)  # when, tokens, seconds of the computing
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self.count = 0  # events so far

    def read(self) -> "Journal":
        """What has been added since the last time."""
        with self._lock:
            if not self.followed:
                self._recent.clear()
            for event in self._new():
                self._take(event)
                self.count += 1
                if self.followed:
                    self._recent.append(event)
        return self

    def since(self, count: int) -> Sequence[Mapping[str, Any]] | None:
        """The events after so many; None if they are not known any more."""
        with self._lock:
            missed = self.count - count
            return None if missed > len(self._recent) else list(self._recent)[len(self._recent) - missed :]

    def state(self) -> tuple[dict[str, Any], int]:
        """All that is drawn and told, and after how many events that is so."""
        with self._lock:
            drawn = {"points": self.points, "judged": self.judged, "tried": self.tried}
            said = {"notes": self.notes, "problems": self.problems}
            return {name: list(values) for name, values in (*drawn.items(), *said.items())}, self.count

    @property
    def loss(self) -> float | None:
        """Of the latest steps, taken together."""
        with self._lock:
            latest = self.points[-max(1, PACE // self._thinned) :]
        return sum(point["loss"] for point in latest) / len(latest) if latest else None

    @property
    def speed(self) -> float | None:
        """Tokens per second."""
        with self._lock:
            pace = list(self._pace)
        seconds = sum(one[2] for one in pace)
        return sum(one[1] for one in pace) / seconds if seconds else None

    @property
    def left(self) -> float | None:
        """Seconds until it is done, judging and all, as fast as it was lately."""
        with self._lock:
            pace = list(self._pace)
        if self.steps is None or len(pace) < 2:
            return None
        each = (pace[-1][0] - pace[0][0]) / (len(pace) - 1)
        return max(0.0, each * (self.steps - self.step))

    def _new(self) -> Iterator[dict[str, Any]]:
        """Whole lines only: what is half written is read the next time."""
        try:
            with self.path.open("rb") as file:
                while True:
                    file.seek(self._offset)
                    whole = (data := file.read(BLOCK))[: data.rfind(b"\n") + 1]
                    if not whole:
                        return
                    self._offset += len(whole)
                    yield from events_in(whole)
        except OSError:
            return

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"event": "step", "step": int(step), **more} if event.keys() >= _STEP:
                self.step = step
                self.learnt += int(more.get("learnt", 0))
                self._pace.append((event["at"], event["tokens"], event["seconds"]))
                self._draw(point_of(event))
            case {"event": "began", "step": int(step), "steps": int(steps), "train": int(samples)}:
                self.step, self.steps, self.samples = step, steps, samples
                self._pace.clear()
                self._waiting.clear()
                self.points = [point for point in self.points if point["step"] <= step]
                self.judged = [one for one in self.judged if one["step"] <= step]
                self.tried = [one for one in self.tried if one["step"] <= step]
            case {"event": "judged", "step": int(), "loss": float()}:
                self.judged = [*self.judged, judged_of(event)][-KEPT:]
            case {"event": "tried", "step": int(), "prompt": str(), "text": str()}:
                self.tried = [*self.tried, tried_of(event)][-KEPT:]
            case {"event": "plan", **plan}:
                self.plan = {name: value for name, value in plan.items() if name != "at"}
            case {"event": "note", "text": str(text)}:
                self.notes.append({"at": event["at"], "text": text})
            case {"event": "problem", "line": int(line), "text": str(text)}:
                self.problems.append({"file": str(event.get("file", "")), "line": line, "text": text})

    def _draw(self, point: dict[str, float]) -> None:
        self._waiting.append(point)
        if len(self._waiting) < self._thinned:
            return
        self.points.append(_mean(self._waiting))
        self._waiting.clear()
        if len(self.points) >= 2 * POINTS:
            self.points = [_mean(self.points[first : first + 2]) for first in range(0, len(self.points), 2)]
            self._thinned *= 2


def events_in(data: bytes) -> Iterator[dict[str, Any]]:
    """Of lines of JSON, each of which has its time; what is damaged is left out, as a killed process may leave it."""
    for line in data.splitlines():
        try:
            event = json.loads(line) if len(line) <= LONGEST else None
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("at"), int | float):
            yield event


def point_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Of a curve."""
    return {
        "step": event["step"],
        "loss": event["loss"],
        "rate": event["learning_rate"],
        "norm": event["gradient_norm"],
        "tokens": event["tokens"],
        "seconds": event["seconds"],
    }


def judged_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """On what it has not seen, with what else its objective tells."""
    figures = {name: value for name, value in event.items() if name not in ("event", "at", "step", "loss")}
    return {"step": event["step"], "loss": event["loss"], "figures": figures}


def tried_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """What it said to a question."""
    return {name: event[name] for name in ("step", "prompt", "text")}


def _mean(points: Sequence[Mapping[str, float]]) -> dict[str, float]:
    last = points[-1]["step"]
    return {**{name: sum(one[name] for one in points) / len(points) for name in points[0]}, "step": last}
