"""A fine-tuning job, its events and its lists, in OpenAI's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gadfly.api.openai_fine_tuning_request import JobRequest

__all__ = ["Event", "JobFacts", "JobStatus", "event_list", "job_list", "job_object", "no_checkpoints"]

JobStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True)
class JobFacts:
    """Times are seconds since 1970. `adapter` is the name of what came of it, `error` why nothing did."""

    id: str
    request: JobRequest
    created: int
    status: JobStatus = "queued"
    finished: int | None = None
    adapter: str | None = None
    error: str | None = None
    tokens: int | None = None  # learnt from
    ends: int | None = None  # when it is likely to be done


@dataclass(frozen=True)
class Event:
    """Something that happened in a job. `data` are the figures of a step, if it is about one."""

    id: str
    created: int
    text: str
    level: Literal["info", "warn", "error"] = "info"
    data: Mapping[str, float] | None = None


def job_object(job: JobFacts) -> dict[str, Any]:
    """The body of /v1/fine_tuning/jobs/ID."""
    request = job.request
    numbers = {
        "n_epochs": _or_auto(request.epochs),
        "batch_size": _or_auto(request.batch),
        "learning_rate_multiplier": _or_auto(request.rate),
    }
    inner = {**numbers, "beta": _or_auto(request.beta)} if request.method == "dpo" else numbers
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "model": request.model,
        "created_at": job.created,
        "finished_at": job.finished,
        "fine_tuned_model": f"{request.model}+{job.adapter}" if job.adapter else None,
        "organization_id": "",
        "status": job.status,
        "training_file": request.training_file,
        "validation_file": request.validation_file,
        "result_files": [],
        "trained_tokens": job.tokens,
        "hyperparameters": numbers,
        "method": {"type": request.method, request.method: {"hyperparameters": inner}},
        "seed": request.seed,
        "error": {"code": "failed", "message": job.error, "param": None} if job.error else None,
        "user_provided_suffix": request.suffix,
        "integrations": [],
        "estimated_finish": job.ends,
        "metadata": dict(request.metadata),
    }


def job_list(jobs: Sequence[JobFacts], more: bool = False) -> dict[str, Any]:
    """The body of /v1/fine_tuning/jobs."""
    return {"object": "list", "data": [job_object(job) for job in jobs], "has_more": more}


def event_list(events: Sequence[Event], more: bool = False) -> dict[str, Any]:
    """The body of /v1/fine_tuning/jobs/ID/events, the latest first."""
    return {"object": "list", "data": [_event(event) for event in events], "has_more": more}


def no_checkpoints() -> dict[str, Any]:
    """The body of /v1/fine_tuning/jobs/ID/checkpoints: what is kept meanwhile only serves to go on."""
    return {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": event.created,
        "level": event.level,
        "message": event.text,
        "type": "message" if event.data is None else "metrics",
        "data": dict(event.data or {}),
    }


def _or_auto(value: float | None) -> float | str:
    return "auto" if value is None else value
