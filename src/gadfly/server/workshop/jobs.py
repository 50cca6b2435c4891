"""The folders of runs: GADFLY_HOME/workshop/ID/ has

    job.json          what is known of it; written last when it begins, so that there is none without
    recipe.toml       for `gadfly train`;  data/train.jsonl, data/valid.jsonl
    events.jsonl      what the run has said, a line of JSON each;  log.txt, what it has complained of
    adapter.run/      its checkpoint, until it has succeeded

Several servers may share a home: whoever changes a job holds the lock of all of them, and reads it first.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gadfly.errors import CapacityError, NotFoundError
from gadfly.hub.disk import lock, write_whole, writing
from gadfly.lines import line_of
from gadfly.server.workshop.job import OVER, Job, read_job_table

__all__ = ["Jobs"]

_ID = re.compile(r"ftjob-[0-9a-f]{24}")
_FACTS = 1_000_000  # bytes
_STALE = 3600.0  # seconds, after which what is half made was left by a server that died


class Jobs:
    """At most `most` of an owner; the oldest that is over makes room for a new one. `clock`: seconds since 1970."""

    def __init__(self, home: Path, most: int = 100, clock: Callable[[], float] = time.time) -> None:
        self.folder = home / "workshop"
        self.most = most
        self.clock = clock

    def ids(self) -> Sequence[str]:
        """Of everybody's."""
        return [path.name for path in self.folder.glob("ftjob-*") if (path / "job.json").exists()]

    def list(self, owner: str | None = None) -> Sequence[Job]:
        """The latest first; of everybody if `owner` is None."""
        found = [job for path in self.folder.glob("ftjob-*/job.json") if (job := self._read(path.parent.name))]
        mine = (job for job in found if owner in (None, job.owner))
        return sorted(mine, key=lambda job: (job.created, job.id), reverse=True)

    def get(self, id_: str, owner: str | None = None) -> Job:
        """Raises NotFoundError, also for what is another's."""
        job = self._read(id_) if _ID.fullmatch(id_) else None
        if job is None or owner not in (None, job.owner):
            raise NotFoundError(f"there is no fine-tuning job {id_!r:.60}; list them to see what there is")
        return job

    def place(self, job: Job) -> Path:
        return self.folder / job.id

    def new_id(self) -> str:
        return f"ftjob-{secrets.token_hex(12)}"

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Nobody else changes a job inside. Raises BusyError if somebody does so for long."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with lock(self.folder / "changes.lock"):
            yield

    @contextmanager
    def beginning(self) -> Iterator[Path]:
        """A folder to prepare a job in, which is gone afterwards unless `add` has taken it."""
        aside = self.folder / f"new-{secrets.token_hex(12)}"
        with writing(aside):
            aside.mkdir(parents=True)
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def add(self, job: Job, aside: Path) -> None:
        """Raises CapacityError if its owner has too many. The caller is `changing`."""
        mine = self.list(job.owner)
        over = [one for one in mine if one.status in OVER]
        if len(mine) >= self.most:
            if not over:
                raise CapacityError(f"there are {self.most} fine-tuning jobs that are not over; delete some of them")
            self.forget(over[-1])
        self._write(job, aside)
        with writing(self.folder):
            aside.rename(self.place(job))

    def change(self, id_: str, made: Callable[[Job], Job], text: str | None = None) -> Job:
        """Write what `made` makes of a job as it is now, and `text` into its journal. Raises NotFoundError."""
        with self.changing():
            job = made(self.get(id_))
            if text:  # first: who sees that a job is over has its whole journal
                self.tell(job, {"event": "note", "text": text})
            self._write(job, self.place(job))
        return job

    def failed(self, id_: str, why: str) -> Job:
        return self.change(id_, lambda job: replace(job, status="failed", error=why[:1000], finished=self.clock()))

    def tell(self, job: Job, event: dict[str, Any]) -> None:
        """Add to its journal, beginning a line even where a killed process left half of one."""
        with writing(self.folder), (self.place(job) / "events.jsonl").open("ab+") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line_of({"at": self.clock(), **event}))

    def forget(self, job: Job) -> None:
        """It is not there any more; its folder goes with the next `sweep`, as its run may yet write there."""
        (self.place(job) / "job.json").unlink(missing_ok=True)

    def sweep(self, running: str | None = None) -> None:
        """Remove folders of what was forgotten, and of what servers left that died. For whoever has the runs."""
        for path in self.folder.glob("ftjob-*"):
            if path.name != running and not (path / "job.json").exists():
                shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob("new-*"):
            with suppress(OSError):  # it is there no more: somebody has finished with it
                if self.clock() - path.stat().st_mtime > _STALE:
                    shutil.rmtree(path, ignore_errors=True)

    def changed(self, id_: str) -> tuple[int, ...] | None:
        """Numbers that are others when a job is; None for none.

        Clocks of disks are slow: of two changes within some milliseconds only the file is another one.
        """
        try:
            found = (self.folder / id_ / "job.json").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self, id_: str) -> Job | None:
        try:
            with (self.folder / id_ / "job.json").open("rb") as file:
                job = read_job_table(json.loads(file.read(_FACTS)))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return job if job.id == id_ else None

    def _write(self, job: Job, folder: Path) -> None:
        with writing(self.folder):
            write_whole(folder / "job.json", json.dumps(job.table()).encode())
