"""One form for what the commands of this folder find: rows of medians, ours beside another program's.

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)  # --results FILE, --json
    given = parser.parse_args()

    found = Result("batched", peer="llama.cpp 0.3.36, AVX-512 VNNI")  # without a peer: Result("batched")
    for sequences in (4, 8, 16):
        times = take_turns({"gadfly": ours, "llama.cpp": theirs}, rounds=5)  # functions that return a number each
        found.add("tokens/s", times["gadfly"], times["llama.cpp"], model="smollm2 Q4_1", threads=2, sequences=sequences)
    found.publish(given)

`add` takes a unit of UNITS, the rounds of ours, those of the peer if it was measured, and in your own words what was
measured; the words become columns of the table. `publish` prints the table, or JSON, and appends the whole as one line
of JSON to the file that --results names; `plot.py` draws such files. A line has

    benchmark, date, command, processor, processors, memory_gb, system, python, gadfly, peer,
    rows: [{what: {…}, unit, ours, theirs, ratio, ours_rounds, theirs_rounds}]

where `ratio` says how many times better ours is, whichever way is better in that unit.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from gadfly.evaluate.machine import processor

__all__ = ["UNITS", "Result", "Row", "add_options", "read_results", "take_turns"]

MORE, LESS = 1, -1
UNITS: Mapping[str, int] = {  # and which way is better
    "tokens/s": MORE,
    "tokens/CPU-s": MORE,
    "GOPS": MORE,
    "GB/s": MORE,
    "million weights/s": MORE,
    "tokens/step": MORE,
    "%": MORE,
    "s": LESS,
    "ms": LESS,
    "us": LESS,
    "MB": LESS,
    "nats": LESS,
    "instructions": LESS,
}


@dataclass(frozen=True)
class Row:
    """What was measured, in words of the benchmark's own, and what was found; `theirs` is None without a peer."""

    what: Mapping[str, str | int | float]
    unit: str
    ours: float
    theirs: float | None
    ratio: float | None
    ours_rounds: tuple[float, ...]
    theirs_rounds: tuple[float, ...]


@dataclass
class Result:
    """`peer` names program, version and build of what ours is compared with."""

    benchmark: str
    peer: str | None = None
    rows: list[Row] = field(default_factory=list)

    def add(self, unit: str, ours: Sequence[float], theirs: Sequence[float] = (), **what: str | float) -> Row:
        """A row from the rounds of each. Raises ValueError for a unit that UNITS does not have."""
        if unit not in UNITS:
            raise ValueError(f"there is no unit {unit!r}; take one of {', '.join(UNITS)}, or add it there")
        own, other = median(ours), median(theirs) if theirs else None
        ratio = (own / other) ** UNITS[unit] if other else None
        row = Row(what, unit, own, other, ratio, tuple(ours), tuple(theirs))
        self.rows.append(row)
        return row

    def facts(self) -> dict[str, Any]:
        """What a line of a file of results holds."""
        return {
            "benchmark": self.benchmark,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
            "processor": processor(),
            "processors": len(os.sched_getaffinity(0)),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "gadfly": version("gadfly"),
            "peer": self.peer,
            "rows": [asdict(row) for row in self.rows],
        }

    def publish(self, given: argparse.Namespace) -> None:
        """Print, and append to a file, as the options of `add_options` say."""
        facts = self.facts()
        if given.results:
            given.results.parent.mkdir(parents=True, exist_ok=True)
            with given.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")
        print(json.dumps(facts, indent=2) if given.json else self.table(facts))

    def table(self, facts: Mapping[str, Any]) -> str:
        """In Markdown, which also reads well on a terminal."""
        names = list(dict.fromkeys(name for row in self.rows for name in row.what))
        cells = [[*names, "", "gadfly", *([self.peer.split()[0], "ratio"] if self.peer else [])]]
        for row in self.rows:
            shown = [str(row.what.get(name, "")) for name in names] + [row.unit, number(row.ours)]
            if self.peer:
                shown += [number(row.theirs), "" if row.ratio is None else f"{row.ratio:.2f}"]
            cells.append(shown)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        of = f"{facts['date'][:10]} · {facts['processor']}, {facts['processors']} processors · gadfly {facts['gadfly']}"
        return "\n".join([f"{of}{f' · {self.peer}' if self.peer else ''}", facts["command"], "", *lines])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, metavar="FILE", help="append what was found, as a line of JSON")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def take_turns(subjects: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each once to warm up, then `rounds` times in turns A B B A …, so that the machine's moods meet all alike."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name in subjects if turn % 2 else reversed([*subjects]):
            value = subjects[name]()
            if turn:
                found[name].append(value)
    return found


def read_results(file: Path) -> list[dict[str, Any]]:
    """The lines of a file of results, oldest first. Raises ValueError naming one that is none."""
    lines = []
    for number_of_line, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        facts = json.loads(line) if line.startswith("{") else {}
        if not facts.keys() >= {"benchmark", "date", "processor", "rows"}:
            raise ValueError(f"{file}:{number_of_line} is no result of a benchmark")
        lines.append(facts)
    return lines


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
