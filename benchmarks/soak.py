"""A server under mixed traffic for as long as you like: what it may not lose, keep or forget meanwhile.

    python benchmarks/soak.py [--minutes 30] [--clients 6] [--seed 0] [--results FILE]

Clients of every dialect ask, leave, send nonsense and have models loaded and unloaded; see traffic.py. Every minute
they pause. When nothing is asked any more, no request may be left in an engine and no page with a request, and memory,
open files and threads are counted: after a quarter of the time, in which caches fill, memory stays within 2 %, and of
the others there are no more at the end than before. What grows to a size of its own, by and by or at once, is made to
do so first: pages that have never been used, room for the largest step, threads that wait for others. Ends with 1 if
anything was wrong.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import httpx2

from gadfly.hub.library import Library
from gadfly.settings import home
from result import Result, add_options
from traffic import Visitor

__all__ = ["Sample", "complaints", "prepared", "served", "soak"]

MODEL = "smollm2"
TINY = ("tiny-a", "tiny-b")  # of which one has room beside the other
CONTEXT, CONTEXTS = 1024, 4
PAUSE = 60.0  # seconds of traffic between two looks
GROWTH = 0.02
SETTLING = 60.0  # seconds in which the server has to come to rest


@dataclass(frozen=True)
class Sample:
    """What was seen while nothing was asked. `memory` is resident, in bytes; `faults` are visits that went wrong."""

    visits: Counter[str]
    faults: Sequence[str]
    running: int
    pages_held: int
    memory: int
    files: int
    threads: int


@contextmanager
def prepared() -> Iterator[Path]:
    """A GADFLY_HOME of its own, with the default model and two tiny ones."""
    path = Library(home()).resolve(MODEL)
    if path is None:
        raise SystemExit(f"there is no model {MODEL} here; run `make model`")
    with tempfile.TemporaryDirectory(prefix="gadfly-soak-") as folder:
        place = Path(folder)
        _gadfly(place, "pull", str(path), "--name", MODEL)
        for seed, name in enumerate(TINY):
            shape = ("--tokenizer", "bytes", "--dim", "128", "--layers", "2", "--context", "1024", "--seed", str(seed))
            _gadfly(place, "new", str(place / name), *shape)
            _gadfly(place, "convert", str(place / name), str(place / f"{name}.gguf"))
            _gadfly(place, "pull", str(place / f"{name}.gguf"), "--name", name)
        yield place


def _gadfly(place: Path, *arguments: str) -> None:
    environment = {**os.environ, "GADFLY_HOME": str(place)}
    subprocess.run([sys.executable, "-m", "gadfly", *arguments], env=environment, check=True, capture_output=True)


@contextmanager
def served(place: Path) -> Iterator[tuple[str, int]]:
    """The address of a server of these models, and its process."""
    limits = (
        "--context",
        str(CONTEXT),
        "--contexts",
        str(CONTEXTS),
        "--most",
        "2",
        "--queue",
        "16",
        "--keep-alive",
        "5",
    )
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gadfly", "serve", MODEL, "--port", "0", *limits],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "GADFLY_HOME": str(place), "PYTHONUNBUFFERED": "1"},
        )
    with process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found, (place / "log").read_text()
            while httpx2.get(f"{found[0]}/health/ready", timeout=60).status_code != 200:
                time.sleep(0.1)
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait(300)


def fill(url: str) -> None:
    """Let everything grow that has an end: more tokens than there are pages, in full steps, and many things at once."""
    with httpx2.Client(base_url=url, timeout=600, trust_env=False) as client, ThreadPoolExecutor(64) as pool:
        for number in range(CONTEXTS + 2):
            prompt = [100 + number, *range(CONTEXT - 24)]
            answer = client.post("/v1/completions", json={"model": MODEL, "prompt": prompt, "max_tokens": 4})
            assert answer.status_code == 200, answer.text
        for answer in pool.map(lambda _: client.get("/api/tags"), range(256)):
            assert answer.status_code == 200, answer.text


def soak(url: str, pid: int, minutes: float, clients: int, seed: int = 0, pause: float = PAUSE) -> Iterator[Sample]:
    """A sample after every `pause` seconds of traffic."""
    fill(url)
    end = time.monotonic() + 60 * minutes
    for part in count():
        if time.monotonic() >= end:
            return
        until = min(end, time.monotonic() + pause)
        seeds = range(seed + 1000 * part, seed + 1000 * part + clients)
        with ThreadPoolExecutor(clients) as pool:
            told = list(pool.map(partial(_visits, url, until=until), seeds))
        visits = sum((each for each, _ in told), Counter[str]())
        yield _sample(url, pid, visits, [fault for _, faults in told for fault in faults])


def _visits(url: str, seed: int, until: float) -> tuple[Counter[str], list[str]]:
    visitor, done, faults = Visitor(url, (MODEL, *TINY), seed), Counter[str](), []
    while time.monotonic() < until:
        try:
            done[visitor.visit()] += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            faults.append(f"{where.name}, line {where.lineno}, {where.line}: {type(error).__name__} {error}"[:500])
    visitor.close()
    return done, faults


def _sample(url: str, pid: int, visits: Counter[str], faults: Sequence[str]) -> Sample:
    """What is there once everything has come to rest; the tiny models have to be gone, as nobody uses them."""
    end = time.monotonic() + SETTLING
    while True:
        with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
            text = client.get("/metrics").text
            loaded = client.get("/health/ready").json()["loaded"]
        running = _sum(text, "gadfly_requests_running") + _sum(text, "gadfly_requests_waiting")
        held = _sum(text, "gadfly_cache_pages_held")
        if (not running and not held and loaded == [MODEL]) or time.monotonic() > end:
            break
        time.sleep(0.2)
    time.sleep(5)  # until our own connection is forgotten, and memory of what has just been done is given back
    status = (Path("/proc") / str(pid) / "status").read_text()
    memory, threads = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
    files = len(list((Path("/proc") / str(pid) / "fd").iterdir()))
    return Sample(visits, faults, running, held, memory * 1024, files, threads)


def _sum(metrics: str, name: str) -> int:
    return sum(int(float(value)) for value in re.findall(rf"^{name}{{.*}} (\S+)$", metrics, re.MULTILINE))


def complaints(samples: Sequence[Sample], growth: float = GROWTH) -> list[str]:
    """What is wrong with what was seen."""
    found = [fault for sample in samples for fault in sample.faults]
    for number, sample in enumerate(samples):
        if sample.running:
            found.append(f"part {number}: {sample.running} requests are stuck")
        if sample.pages_held:
            found.append(f"part {number}: {sample.pages_held} pages are lost")
    early, late = samples[: len(samples) // 4 or 1], samples[len(samples) // 4 :]
    smallest, largest = (choose(sample.memory for sample in late) for choose in (min, max))
    if largest > smallest * (1 + growth):
        found.append(f"memory went from {smallest >> 20} to {largest >> 20} MiB")
    for what in ("files", "threads"):
        before, after = max(getattr(sample, what) for sample in early), getattr(samples[-1], what)
        if after > before:
            found.append(f"{after - before} {what} more than at the beginning are open")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser)
    given = parser.parse_args()
    samples: list[Sample] = []
    with prepared() as place, served(place) as (url, pid):
        for sample in soak(url, pid, given.minutes, given.clients, given.seed):
            samples.append(sample)
            print(
                f"{len(samples):3} {sample.visits.total():5} visits {len(sample.faults):3} faults "
                f"{sample.memory / 2**20:7.1f} MiB {sample.files:3} files {sample.threads:3} threads",
                *(f"    {fault}" for fault in sample.faults),
                sep="\n",
                flush=True,
            )
        log = (place / "log").read_text(errors="replace")
    bugs = [line for line in log.splitlines() if not line.startswith("20")]  # but for lines of the access log
    visits = sum((sample.visits for sample in samples), Counter[str]())
    print(", ".join(f"{number} {what}" for what, number in visits.most_common()))
    found = Result("soak")
    late = samples[len(samples) // 4 :]
    what = {"model": MODEL, "minutes": given.minutes, "clients": given.clients, "visits": visits.total()}
    found.add("MB", [sample.memory / 1e6 for sample in late], **what)
    found.publish(given)
    wrong = [*complaints(samples), *bugs[:100]]
    print(*wrong or ["Nothing was lost, stuck or left over."], sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
