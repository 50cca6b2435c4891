"""How long one waits before anything happens, and what it takes: fresh processes, medians, in turns.

    python benchmarks/startup.py [--model MODEL] [--contexts 512,8192] [--rounds N] [--peer] [--results FILE]

First interpreters that do nothing, that import Gadfly, and commands that need no model. Then one token of an answer to
one word, from the start of the process to its end: with packed weights kept from an earlier start, and with weights
packed anew; --peer puts llama-completion beside them, with the same file and context. Peak memory counts mapped files.
Compiled modules are kept between the runs, as in an installation. What Python itself and Gadfly's imports take is in
all that follows them, and a program of one file does not have it: hence it is stated apart.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from gadfly.hub.library import Library
from gadfly.settings import home
from peer import peer_name, program
from result import Result, add_options, take_turns

COMMAND = "import sys; from gadfly.cli.main import main; sys.exit(main({arguments!r}))"
STARTS = {
    "python": "pass",
    "import gadfly": "import gadfly",
    "import gadfly.llm": "import gadfly.llm",
    "gadfly --help": COMMAND.format(arguments=["--help"]),
    "gadfly list": COMMAND.format(arguments=["list"]),
}
PROMPT = "Hello"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--contexts", default="512,8192", help="lengths of the context, with commas between")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--peer", action="store_true", help="llama-completion beside it")
    add_options(parser)
    given = parser.parse_args()
    path = Library(home()).resolve(given.model)
    if path is None:
        raise SystemExit(f"there is no model {given.model!r} here; gadfly pull fetches it")
    found = Result("startup", peer_name(path) if given.peer else None)
    with TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        starts = {name: Process([sys.executable, "-c", code], environment) for name, code in STARTS.items()}
        times = take_turns(starts, given.rounds)
        for name in starts:
            found.add("ms", times[name], of=name)
        found.add("MB", starts["import gadfly.llm"].peaks, of="import gadfly.llm")
        for context in map(int, given.contexts.split(",")):
            first_token(found, path, context, environment, given)
    found.publish(given)


def first_token(
    found: Result, path: Path, context: int, environment: Mapping[str, str], given: argparse.Namespace
) -> None:
    """Adds rows for both ways that Gadfly has to start."""

    def ours(flag: str) -> Process:
        words = ["run", str(path), PROMPT, "--raw", "--max-tokens", "1", "--context", str(context), flag]
        return Process([sys.executable, "-c", COMMAND.format(arguments=words)], environment)

    subjects = {"packed weights kept": ours("--cache"), "packed anew": ours("--no-cache")}
    if given.peer:
        words = ["-m", str(path), "-no-cnv", "-p", PROMPT, "-n", "1", "-c", str(context)]
        subjects["peer"] = Process([str(program("llama-completion")), *words], environment)
    times = take_turns(subjects, given.rounds)
    theirs = subjects.get("peer")
    for name in ("packed weights kept", "packed anew"):
        what: dict[str, str | int] = {"of": f"first token, {name}", "model": given.model, "context": context}
        found.add("ms", times[name], times.get("peer", ()), **what)
        found.add("MB", subjects[name].peaks, theirs.peaks if theirs else (), **what)


@dataclass
class Process:
    """Runs a command when it is called, and returns milliseconds; keeps its peak memory in megabytes, but the first."""

    command: Sequence[str]
    environment: Mapping[str, str]
    all_peaks: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        began = perf_counter()
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(self.command, env=self.environment, stdin=quiet, stdout=quiet, stderr=quiet)
        _, status, usage = os.wait4(process.pid, 0)
        took = perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"exit {process.returncode} of {' '.join(self.command)}")
        self.all_peaks.append(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)
        return 1000 * took

    @property
    def peaks(self) -> list[float]:
        return self.all_peaks[1:]


if __name__ == "__main__":
    main()
