"""Who may begin, stop and remove what: the one place that OpenAI's routes and the app's ask.

Everybody who has a key has files and jobs of their own; the adapters that come of them are everybody's. Whatever is
asked for by a name or an id is looked up before it becomes part of a path.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gadfly.api.openai_files import FileFacts, Upload
from gadfly.api.openai_fine_tuning_request import JobRequest
from gadfly.errors import GadflyError, NotFoundError, RequestError, UnsupportedError
from gadfly.hub.adapters import remove_adapter, shelved_adapters
from gadfly.hub.disk import require_room, write_whole, writing
from gadfly.server.workshop.command import ask
from gadfly.server.workshop.draft import Draft
from gadfly.server.workshop.job import GOES_ON, OVER, WAITS, Job, Method, Status
from gadfly.server.workshop.jobs import Jobs
from gadfly.server.workshop.journal import Journal
from gadfly.server.workshop.material import from_chats, gathered, translated
from gadfly.server.workshop.recipe import recipe, settings_of
from gadfly.server.workshop.uploads import Uploads
from gadfly.server.workshop.worker import TRAIN, Worker

__all__ = ["Workshop"]

_ADVICE = "delete files and jobs that are no longer needed"
_FORMS = (".json", ".csv", ".tsv", ".txt", ".md")  # beside lines of JSON
_JOURNALS = 32  # in memory; others are read when they are asked for
_SPARE = 100_000_000  # bytes, for what a run writes beside a copy of its data


class Workshop:
    """`base` is what a recipe calls the model of a name, and raises NotFoundError for others.

    Methods read and write files, and some start processes: they are for other threads than that of an event loop.
    """

    def __init__(
        self,
        home: Path,
        base: Callable[[str], str],
        run: Sequence[str] = TRAIN,
        most: int = 100,
    ) -> None:
        self._home, self._base = home, base
        self.uploads = Uploads(home, most)
        self.jobs = Jobs(home, most)
        self.renew: Callable[[str], None] = lambda _: None  # called with a model that has got another adapter
        self._own = run == TRAIN
        self._worker = Worker(home, self.jobs, lambda job: self.renew(job.model), run)
        self._journals: dict[str, Journal] = {}  # the one that was asked for longest ago first
        self._lock = threading.Lock()

    def start(self) -> None:
        self._worker.start()

    def close(self) -> None:
        """See `Worker.close`."""
        self._worker.close()

    @property
    def why_not(self) -> str | None:
        """What has to be done before anything can be taught here."""
        if self._own and find_spec("torch") is None:
            return "fine-tuning needs PyTorch, which is not installed: pip install 'gadfly[train]'"
        return None

    def can_teach(self, model: str) -> bool:
        """Whether it is one that lies here."""
        try:
            self._base(model)
        except GadflyError:
            return False
        return True

    def begin(self, owner: str, request: JobRequest) -> Job:
        """What OpenAI's client asks for. Raises NotFoundError, RequestError, CapacityError, UnsupportedError."""
        method: Method = "dpo" if request.method == "dpo" else "sft"
        given = [("training_file", request.training_file, "train.jsonl")]
        if request.validation_file is not None:
            given.append(("validation_file", request.validation_file, "valid.jsonl"))
        job = self._new(owner, request.model, method, request.suffix, "suffix")
        job = replace(job, settings=settings_of(request, method), request=request)

        def prepare(folder: Path) -> None:
            (folder / "data").mkdir()
            for field, file, part in given:
                translated(self.uploads.path(file, owner), folder / "data" / part, method, field)

        return self._begin(job, [file for _, file, _ in given], prepare)

    def draft(self, owner: str, draft: Draft) -> Job:
        """What the app asks for: a plan or, with `start`, a run. Raises likewise."""
        job = self._new(owner, draft.model, draft.method, draft.name, "name")
        status: Status = "queued" if draft.start else "planning"
        job = replace(job, status=status, settings=draft.settings, chats=draft.chats, valid=draft.valid)

        def prepare(folder: Path) -> None:
            files = [self.uploads.path(file, owner) for file in draft.files]
            gathered(self._home, folder, owner, draft.method, files, draft.chats, draft.valid)

        return self._begin(job, draft.files, prepare, draft.questions)

    def launch(self, owner: str, id_: str) -> Job:
        """Have a draft run, planned or not."""
        return self._move(owner, id_, ("planning", "planned"), "queued", "started")

    def stop(self, owner: str, id_: str) -> Job:
        """Until it is resumed."""
        return self._move(owner, id_, ("queued", "running"), "stopped", "stopped")

    def cancel(self, owner: str, id_: str) -> Job:
        """For good, as far as OpenAI's client knows."""
        return self._move(owner, id_, ("planning", "planned", "queued", "running", "stopped"), "cancelled", "cancelled")

    def resume(self, owner: str, id_: str) -> Job:
        """From its checkpoint, or from the beginning if there is none."""
        self._require_torch()
        return self._move(owner, id_, tuple(GOES_ON), "queued", "resumed")

    def delete(self, owner: str, id_: str, adapter: bool = False) -> Job:
        """With `adapter`, what came of it goes, too. Raises NotFoundError."""
        with self.jobs.changing():
            job = self.jobs.get(id_, owner)
            self.jobs.forget(job)
            again = any(one.adapter == job.adapter for one in self.jobs.list())  # it was removed, and made anew
        self._worker.wake()
        if adapter and job.adapter and self.on_shelf(job) and not again:
            with suppress(NotFoundError):  # somebody was quicker
                remove_adapter(job.adapter, self._home)
            self.renew(job.model)
        return job

    def ahead(self, job: Job) -> int:
        """How many have their turn before it."""
        waiting = [one.id for one in self._worker.waiting()] if job.status in WAITS else []
        return waiting.index(job.id) if job.id in waiting else 0

    def journal(self, job: Job) -> Journal:
        """What it has said until now."""
        return self._journal(job).read()

    def followed(self, job: Job) -> Journal:
        """The same, from now on with its latest events as they were, until the job is over."""
        journal = self._journal(job)
        journal.followed = journal.followed or job.status not in OVER
        journal.read()
        journal.followed = job.status not in OVER
        return journal

    def material(self, owner: str, licences: str) -> Mapping[str, Any]:
        """What there is to learn from in the chats of somebody: see `from_chats`."""
        with self.jobs.beginning() as folder:
            return from_chats(self._home, folder, owner, licences)

    def take(self, owner: str, upload: Upload) -> tuple[FileFacts, Mapping[str, Any] | None]:
        """Keep a file; also what `gadfly data import` reports of one that is no .jsonl.

        What it is called says how it is read, and nothing else. Raises RequestError, CapacityError.
        """
        suffix = Path(upload.filename).suffix.lower()
        if suffix == ".jsonl":
            return self.uploads.add(owner, upload), None
        if suffix not in _FORMS:
            raise RequestError(
                f"{upload.filename} is none of the files that are read here: .jsonl, {', '.join(_FORMS)}"
            )
        with self.jobs.beginning() as folder:
            require_room(folder, 3 * len(upload.data), _ADVICE)
            with writing(folder):
                (folder / f"given{suffix}").write_bytes(upload.data)
            report = ask(self._home, folder, "data", "import", f"given{suffix}", "--out", "taken.jsonl")
            (of_file,) = report["files"].values()
            if not report["taken"]:
                problem = next(iter(of_file["problems"]), {"line": 1, "text": "there is nothing in it"})
                why = f"line {problem['line']}: {problem['text']}"
                raise RequestError(f"{upload.filename} has nothing that can be learnt; {why}")
            taken = Upload(upload.filename, (folder / "taken.jsonl").read_bytes())
        return self.uploads.add(owner, taken), of_file

    def on_shelf(self, job: Job) -> bool:
        """Whether what came of a job is still there."""
        return job.status == "succeeded" and job.adapter is not None and (self.shelf / job.adapter).exists()

    @property
    def shelf(self) -> Path:
        return self._home / "adapters"

    def check(self, owner: str, file: str, model: str | None, longest: int) -> Mapping[str, Any]:
        """The report of `gadfly data check` on a file that was sent."""
        path = self.uploads.path(file, owner)
        told = () if model is None else (f"--model={self._base(model)}", f"--longest={longest}")
        return ask(self._home, path.parent, "data", "check", path.name, *told)

    def _journal(self, job: Job) -> Journal:
        with self._lock:
            found = self._journals.pop(job.id, None) or Journal(self.jobs.place(job) / "events.jsonl")
            self._journals[job.id] = found
            if len(self._journals) > _JOURNALS:
                del self._journals[next(iter(self._journals))]
        return found

    def _new(self, owner: str, model: str, method: Method, name: str | None, field: str) -> Job:
        """Raises what is wrong with it."""
        self._require_torch()
        self._base(model)
        id_ = self.jobs.new_id()
        if name is not None:
            self._require_free(name, field)
        return Job(id_, owner, name or id_, model, method, self.jobs.clock())

    def _begin(
        self, job: Job, files: Sequence[str], prepare: Callable[[Path], None], questions: Sequence[str] = ()
    ) -> Job:
        facts = [self.uploads.get(file, job.owner) for file in files]
        job = replace(job, files=tuple(one.filename for one in facts), given=tuple(files))
        with self.jobs.beginning() as folder:
            require_room(folder, 3 * sum(one.size for one in facts) + _SPARE, _ADVICE)
            with writing(folder):
                prepare(folder)
                written = recipe(self._base(job.model), job.method, job.settings, questions)
                write_whole(folder / "recipe.toml", written)
            with self.jobs.changing():
                self._require_free(job.name, "suffix" if job.request else "name")
                self.jobs.add(job, folder)
        self.jobs.tell(job, {"event": "note", "text": f"{job.model} is to learn: {job.name}"})
        self._worker.wake()
        return job

    def _move(self, owner: str, id_: str, before: Sequence[Status], after: Status, word: str) -> Job:
        self.jobs.get(id_, owner)

        def moved(job: Job) -> Job:
            if job.status not in before:
                raise RequestError(
                    f"the job is {job.status}, and cannot be {word}; that takes one that is {' or '.join(before)}"
                )
            done = {"finished": self.jobs.clock() if after in OVER else None, "error": None, "status": after}
            return replace(job, **done)  # type: ignore[arg-type]

        job = self.jobs.change(id_, moved, word)
        self._worker.wake()
        return job

    def _require_torch(self) -> None:
        if why := self.why_not:
            raise UnsupportedError(why)

    def _require_free(self, name: str, field: str) -> None:
        """Raises RequestError if an adapter is called so, or will be."""
        coming = {job.name for job in self.jobs.list() if job.status not in OVER}
        if name in coming or name in shelved_adapters(self._home):
            raise RequestError(f"there is an adapter {name} already, or will be; choose another {field}", field)
