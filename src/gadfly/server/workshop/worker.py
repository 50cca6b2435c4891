"""The one run that is under way, as a process of its own at low priority, and those that wait for their turn.

What is to happen is in the folders of jobs alone, so that a job which is stopped, cancelled or deleted there is let go
of here, and one that a killed server has left goes on. A run holds the lock of the workshop for itself, so that of
several servers one has a run, and the next waits for what still ends.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from gadfly.errors import GadflyError, NotFoundError
from gadfly.hub.disk import require_room, writing
from gadfly.hub.progress import size_text
from gadfly.server.workshop.command import GADFLY, environment, last_line
from gadfly.server.workshop.job import WAITS, Job
from gadfly.server.workshop.jobs import Jobs
from gadfly.server.workshop.journal import Journal

__all__ = ["TRAIN", "Worker"]

TRAIN = (*GADFLY, "train", "recipe.toml", "--json", "--until-eof")
log = logging.getLogger("gadfly.server")

_NICE = 10
_LOOK = 0.1  # seconds between looks at a run
_WAIT = 1.0  # and at a queue in which there was nothing, as another server may put something there
_GRACE = 60.0  # for a run that is told to stop, and writes a checkpoint; then it is killed
_LOG = 64_000_000  # bytes that a run may say
_ROOM = 50_000_000  # bytes of disk that any run takes


class Worker:
    """`shelve` is called with a job whose adapter has been made, before the job has succeeded.

    `run` is the command of a run, in the folder of its job; with --plan it only says what that takes.
    """

    def __init__(
        self,
        home: Path,
        jobs: Jobs,
        shelved: Callable[[Job], None] = lambda _: None,
        run: Sequence[str] = TRAIN,
    ) -> None:
        self._home, self._jobs, self._shelved, self._run = home, jobs, shelved, tuple(run)
        self._closing = threading.Event()
        self._news = threading.Event()
        self._hopeless: set[str] = set()  # which cannot even be marked as failed
        self._thread = threading.Thread(target=self._work, name="gadfly-workshop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """There is something new in the queue."""
        self._news.set()

    def close(self, seconds: float = 10.0) -> None:
        """A run that is under way keeps a checkpoint, and its job waits for the next server.

        If that takes longer than so many seconds, it ends by itself later: its input has ended.
        """
        self._closing.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def waiting(self) -> list[Job]:
        """In the order of their turns: what is under way, plans, and the others as they came."""
        order = {"running": 0, "planning": 1, "queued": 2}
        waiting = [job for job in self._jobs.list() if job.status in WAITS and job.id not in self._hopeless]
        return sorted(waiting, key=lambda job: (order[job.status], job.created, job.id))

    def _work(self) -> None:
        with ExitStack() as stack:
            lock: IO[bytes] | None = None
            while not self._closing.is_set():
                try:
                    lock = lock or stack.enter_context(self._locked())
                    if self._turn(lock):
                        continue
                except BlockingIOError:  # another server's, or a run's that outlived its server
                    pass
                except Exception as error:
                    log.warning("the workshop waits: %s", error, exc_info=not isinstance(error, GadflyError | OSError))
                self._news.wait(_WAIT)
                self._news.clear()

    def _locked(self) -> IO[bytes]:
        """Raises BlockingIOError if somebody else holds it."""
        with writing(self._jobs.folder):
            self._jobs.folder.mkdir(parents=True, exist_ok=True)
        file = (self._jobs.folder / "lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            file.close()
            raise
        return file

    def _turn(self, lock: IO[bytes]) -> bool:
        """Whether there was something to do."""
        self._jobs.sweep()
        job = next(iter(self.waiting()), None)
        if job is None:
            return False
        try:
            self._go(job, lock)
        except NotFoundError:  # deleted meanwhile
            pass
        except Exception as error:
            known = isinstance(error, GadflyError)
            if not known:
                log.exception("%s failed", job.id)
            self._hopeless.add(job.id)
            self._jobs.failed(job.id, str(error) if known else "something went wrong in Gadfly; its log tells more")
            self._hopeless.discard(job.id)
        return True

    def _go(self, job: Job, lock: IO[bytes]) -> None:
        if job.adapter is not None:  # a server died while it put it there
            self._shelve(job)
            return
        folder, planning = self._jobs.place(job), job.status == "planning"
        require_room(folder, int((job.plan or {}).get("disk", _ROOM)), "delete what is no longer needed")
        if not planning:
            job = self._jobs.change(job.id, self._running, None if job.started else "the run begins")
            if job.status != "running":
                return
        if not (folder / "adapter").exists():  # which a run has made whose end nobody saw
            code = self._watch(job, (*self._run, "--plan") if planning else self._run, lock)
            if code and self._closing.is_set():
                return  # it is found as it is by the next server
            job = self._jobs.get(job.id)
            if job.status != ("planning" if planning else "running"):
                return  # it was told to end
            if code:
                self._jobs.failed(job.id, _reason(folder, code))
                return
        if planning:
            plan = Journal(folder / "events.jsonl").read().plan
            self._jobs.change(job.id, lambda job: replace(job, status="planned", plan=plan))
            return
        self._shelve(job)

    def _running(self, job: Job) -> Job:
        if job.status not in ("queued", "running"):
            return job
        return replace(job, status="running", started=job.started or self._jobs.clock())

    def _watch(self, job: Job, command: Sequence[str], lock: IO[bytes]) -> int:
        """Its exit code, once it has ended, by itself or because nobody wants it any more."""
        folder = self._jobs.place(job)
        events = folder / "events.jsonl"
        temporary = {"TMPDIR": str(folder)}
        self._jobs.tell(job, {"event": "process"})
        with events.open("ab") as said, (folder / "log.txt").open("wb") as complaints:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment(self._home), **temporary},
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=complaints,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        assert process.stdin is not None
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        seen: object = ()  # so that the first look is a look, whatever has happened since it was to begin
        end: float | None = None
        try:
            while process.poll() is None:
                now = self._jobs.changed(job.id)
                changed, seen = now != seen, now
                if end is None and (self._closing.is_set() or (changed and not self._wanted(job))):
                    process.stdin.close()
                    end = time.monotonic() + _GRACE
                if self._news.is_set():
                    self._news.clear()
                    self._jobs.sweep(job.id)
                if (end is not None and time.monotonic() > end) or events.stat().st_size > _LOG:
                    process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK)
        finally:
            process.stdin.close()
            try:
                code = process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        return code

    def _wanted(self, job: Job) -> bool:
        try:
            return self._jobs.get(job.id).status == job.status
        except NotFoundError:
            return False

    def _shelve(self, job: Job) -> None:
        """Put the adapter where it has its name. Every step of it may be the last of a server, and the next goes on."""
        job = self._jobs.change(job.id, lambda job: replace(job, adapter=job.name))
        folder, shelf = self._jobs.place(job), self._home / "adapters"
        if (folder / "adapter").exists():
            with writing(shelf):
                shelf.mkdir(parents=True, exist_ok=True)
                (folder / "adapter").rename(shelf / job.name)
        self._shelved(job)
        done = {"status": "succeeded", "finished": self._jobs.clock(), "error": None}
        self._jobs.change(job.id, lambda job: replace(job, **done), f"{job.name} is on the shelf of adapters")  # type: ignore[arg-type]
        for rest in ("adapter.run", "data"):
            shutil.rmtree(folder / rest, ignore_errors=True)


def _reason(folder: Path, code: int) -> str:
    if (folder / "events.jsonl").stat().st_size > _LOG:
        return f"it had more to say than {size_text(_LOG)}; choose fewer epochs, or a larger batch"
    if code < 0:
        return f"its process was killed by signal {-code}, as happens where memory runs out; resume goes on from there"
    return last_line(folder / "log.txt", code)
