"""One run: what is to be learnt from what, and how far it is. What it looks like over HTTP is the affair of routes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from gadfly.api.openai_fine_tuning_request import JobRequest

__all__ = ["GOES_ON", "METHODS", "OVER", "WAITS", "Job", "Method", "Status", "read_job_table"]

Method = Literal["sft", "text", "dpo", "kto"]
METHODS: tuple[Method, ...] = get_args(Method)
Status = Literal["planning", "planned", "queued", "running", "stopped", "cancelled", "succeeded", "failed"]
OVER: frozenset[Status] = frozenset(("succeeded", "failed", "cancelled"))
WAITS: frozenset[Status] = frozenset(("planning", "queued", "running"))  # for its turn, or has it
GOES_ON: frozenset[Status] = frozenset(("stopped", "cancelled", "failed"))  # if it is resumed


@dataclass(frozen=True)
class Job:
    """Times are seconds since 1970. `name` is what the adapter will be called, `adapter` that it is being put there.

    `settings` are values of a recipe by their keys, like "plan.epochs". `request` is what OpenAI's client asked for.
    """

    id: str
    owner: str
    name: str
    model: str
    method: Method
    created: float
    status: Status = "queued"
    settings: Mapping[str, float] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # as their senders call them
    given: tuple[str, ...] = ()  # their ids
    chats: str | None = None  # of which licences
    valid: float = 0.0
    request: JobRequest | None = None
    started: float | None = None
    finished: float | None = None
    plan: Mapping[str, Any] | None = None
    adapter: str | None = None
    error: str | None = None

    def table(self) -> dict[str, Any]:
        """For a file of JSON: see `read_job_table`."""
        return asdict(self)


def read_job_table(table: Mapping[str, Any]) -> Job:
    """Raises ValueError, TypeError or KeyError for what is none."""
    request = table["request"]
    lists = {name: tuple(table.get(name, ())) for name in ("files", "given")}
    job = Job(**{**table, **lists, "request": JobRequest(**request) if request else None})
    if job.status not in get_args(Status) or job.method not in METHODS:
        raise ValueError(f"{job.status!r:.40} or {job.method!r:.40} is not known")
    return job
