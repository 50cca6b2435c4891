"""Fine-tuning jobs: a queue of runs of `gadfly train`, each a process of its own at low priority, one at a time.

GADFLY_HOME/workshop/ID/    job.json  recipe.toml  data/train.jsonl  data/valid.jsonl  events.jsonl  log.txt  adapter

A job that its server leaves is queued again, and its run goes on from its checkpoint. The run holds the lock of the
workshop itself, so that after a server was killed the next one waits for what is still running.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path

from gadfly.api.openai_fine_tuning import OVER, Job
from gadfly.api.openai_fine_tuning_request import JobRequest, lesson, preference
from gadfly.errors import CapacityError, GadflyError, NotFoundError, RequestError, UnsupportedError
from gadfly.hub.adapters import shelved_adapters
from gadfly.hub.disk import write_whole, writing
from gadfly.lines import Row, line_of, read_lines
from gadfly.server.uploads import Uploads

__all__ = ["TRAIN", "FineTuning"]

TRAIN = (sys.executable, "-m", "gadfly", "train", "recipe.toml", "--json")
_ID = re.compile(r"ftjob-[0-9a-f]{24}")
_NICE = 10
_STOPPED = 130  # what `gadfly train` ends with after Ctrl-C
_RATES = {"supervised": 1e-3, "dpo": 2e-4}  # which a multiplier multiplies; see `gadfly.train.recipe`
_LOOK = 0.2  # seconds between looks at a run


class FineTuning:
    """At most `most` jobs. `known` raises for what is no model's name; `run` is the command of a run, in its folder."""

    def __init__(
        self,
        home: Path,
        uploads: Uploads,
        known: Callable[[str], object],
        run: Sequence[str] = TRAIN,
        most: int = 100,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._home, self._folder = home, home / "workshop"
        self._uploads, self._run, self._most, self._clock = uploads, tuple(run), most, clock
        self._known = known
        self._lock = threading.RLock()
        self._news, self._closing = threading.Event(), False
        self._cancelled: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="gadfly-fine-tuning", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """A run that is under way keeps a checkpoint, and its job is queued again."""
        self._closing = True
        self._news.set()
        self._thread.join()

    def list(self) -> Sequence[Job]:
        """The latest first."""
        found = [job for path in self._folder.glob("ftjob-*/job.json") if (job := self._read(path.parent.name))]
        return sorted(found, key=lambda job: (job.created, job.id), reverse=True)

    def get(self, id_: str) -> Job:
        """Raises NotFoundError."""
        job = self._read(id_) if _ID.fullmatch(id_) else None
        if job is None:
            raise NotFoundError(f"there is no job {id_!r:.60}; GET /v1/fine_tuning/jobs lists what there is")
        return job

    def create(self, request: JobRequest) -> Job:
        """Raises NotFoundError for files, RequestError, CapacityError, UnsupportedError without PyTorch."""
        if self._run == TRAIN and find_spec("torch") is None:
            raise UnsupportedError("fine-tuning needs PyTorch, which is not installed: pip install 'gadfly[train]'")
        self._known(request.model)
        with self._lock:
            jobs = self.list()
            if len(jobs) >= self._most:
                raise CapacityError(f"there are {self._most} jobs; remove folders of old ones from {self._folder}")
            id_ = f"ftjob-{secrets.token_hex(12)}"
            name = self._name(id_, request)
            if name in shelved_adapters(self._home) or any(
                self._name(job.id, job.request) == name and job.status not in OVER for job in jobs
            ):
                raise RequestError(f"there is an adapter {name} already; choose another suffix", "suffix")
            folder = self._folder / id_
            try:
                with writing(folder):
                    (folder / "data").mkdir(parents=True)
                    for part, file in (("train", request.training_file), ("valid", request.validation_file)):
                        if file is not None:
                            self._translate(file, folder / "data" / f"{part}.jsonl", request)
                    write_whole(folder / "recipe.toml", _recipe(request).encode())
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            job = Job(id_, request, int(self._clock()))
            self._write(job)
        self._news.set()
        return job

    def cancel(self, id_: str) -> Job:
        """Raises NotFoundError, or RequestError if it is over."""
        with self._lock:
            job = self.get(id_)
            if job.status in OVER:
                raise RequestError(f"the job has {job.status}; only one that waits or runs can be cancelled")
            self._cancelled.add(id_)
            job = replace(job, status="cancelled", finished=int(self._clock()))
            self._write(job)
        return job

    def _work(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            while not self._closing:
                self._news.wait(1.0)
                self._news.clear()
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # a run that outlived its server
                    continue
                waiting = [job for job in reversed(self.list()) if job.status not in OVER]
                for job in waiting[:1]:
                    self._go(job, lock.fileno())
                    self._news.set()

    def _go(self, job: Job, lock: int) -> None:
        folder = self._folder / job.id
        with self._lock:
            if self.get(job.id).status in OVER:
                return
            self._write(job := replace(job, status="running"))
        with (folder / "events.jsonl").open("ab") as events, (folder / "log.txt").open("wb") as log:
            run = subprocess.Popen(
                self._run, cwd=folder, stdout=events, stderr=log, pass_fds=(lock,), start_new_session=True
            )
        os.setpriority(os.PRIO_PROCESS, run.pid, _NICE)
        told = False
        while run.poll() is None:
            if not told and (self._closing or job.id in self._cancelled):
                run.send_signal(signal.SIGINT)
                told = True
            time.sleep(_LOOK)
        with self._lock:
            if job.id in self._cancelled:
                return
            self._write(self._ended(job, run.returncode))

    def _ended(self, job: Job, code: int) -> Job:
        folder, name = self._folder / job.id, self._name(job.id, job.request)
        if code and self._closing:
            return replace(job, status="queued")
        job = replace(job, finished=int(self._clock()))
        if code:
            lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
            return replace(job, status="failed", error=(lines or [f"the run ended with {code}"])[-1][:1000])
        with writing(self._home / "adapters"):
            (self._home / "adapters").mkdir(exist_ok=True)
            (folder / "adapter").rename(self._home / "adapters" / name)
        return replace(job, status="succeeded", adapter=name)

    def _translate(self, file: str, target: Path, request: JobRequest) -> None:
        translate = preference if request.method == "dpo" else lesson
        with target.open("wb") as out:
            for row in read_lines(self._uploads.path(file)):
                if not isinstance(row, Row):
                    raise RequestError(f"{file}, line {row.line}: {row.text}", "training_file")
                out.write(line_of(translate(row.table)))

    def _name(self, id_: str, request: JobRequest) -> str:
        return request.suffix or id_

    def _read(self, id_: str) -> Job | None:
        try:
            table = json.loads((self._folder / id_ / "job.json").read_bytes())
            return Job(**{**table, "request": JobRequest(**table["request"])})
        except (OSError, ValueError, TypeError, KeyError, GadflyError):
            return None

    def _write(self, job: Job) -> None:
        with writing(self._folder):
            write_whole(self._folder / job.id / "job.json", json.dumps(asdict(job)).encode())


def _recipe(request: JobRequest) -> str:
    """Texts are JSON's, which TOML understands."""
    plan: dict[str, float] = {"seed": request.seed}
    if request.epochs is not None:
        plan["epochs"] = request.epochs
    if request.batch is not None:
        plan["batch"] = request.batch
    if request.rate is not None:
        plan["learning_rate"] = request.rate * _RATES[request.method]
    method = "dpo" if request.method == "dpo" else "sft"
    lines = [
        f"base = {json.dumps(request.model)}",
        f'method = "{method}"',
        'data = "data"',
        'out = "adapter"',
        "[plan]",
    ]
    lines += [f"{key} = {value!r}" for key, value in plan.items()]
    if request.beta is not None:
        lines += ["[preference]", f"beta = {float(request.beta)!r}"]
    return "\n".join(lines) + "\n"
