"""OpenAI's fine-tuning jobs. What the app plans and runs is not told here, as its client would not know what it is."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response

from gadfly.api.openai_fine_tuning import Event, JobFacts, JobStatus, event_list, job_list, job_object, no_checkpoints
from gadfly.api.openai_fine_tuning_request import JobRequest, read_job
from gadfly.errors import NotFoundError
from gadfly.server.refusals import json_response
from gadfly.server.routes.pages import latest, page_of
from gadfly.server.schemas import body
from gadfly.server.service import body_of, owner_of, service_of, workshop_of
from gadfly.server.workshop.job import Job, Status
from gadfly.server.workshop.journal import events_in
from gadfly.server.workshop.workshop import Workshop

__all__ = ["routes"]

routes = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["OpenAI"])

_STATUS: dict[Status, JobStatus] = {
    "planning": "queued",
    "planned": "queued",
    "queued": "queued",
    "running": "running",
    "stopped": "paused",
    "cancelled": "cancelled",
    "succeeded": "succeeded",
    "failed": "failed",
}


@routes.post("", openapi_extra=body("/v1/fine_tuning/jobs"))
async def begin(request: Request) -> Response:
    """Have a model learn from a file; what comes of it is an adapter, and is asked for as MODEL+SUFFIX."""
    asked, workshop = read_job(await body_of(request)), workshop_of(request)
    asked = replace(asked, model=await service_of(request).models.named(asked.model))
    return await _told(workshop, await asyncio.to_thread(workshop.begin, owner_of(request), asked))


@routes.get("")
async def every(request: Request, after: str = "", limit: str = "") -> Response:
    """Those that were asked for, the latest first."""
    workshop, asked = workshop_of(request), dict(request.query_params)
    wanted = {key[9:-1]: value for key, value in asked.items() if key.startswith("metadata[") and key.endswith("]")}

    def page() -> dict[str, Any]:
        found = [job for job in workshop.jobs.list(owner_of(request)) if job.request is not None]
        found = [job for job in found if wanted.items() <= dict(_request(job).metadata).items()]
        jobs, more = page_of(found, after, limit, 20)
        return job_list([_facts(workshop, job) for job in jobs], more)

    return json_response(await asyncio.to_thread(page))


@routes.get("/{id}")
async def one(request: Request, id: str) -> Response:  # noqa: A002
    """How far one is."""
    return await _told(workshop_of(request), await _job(request, id))


@routes.post("/{id}/cancel")
async def cancel(request: Request, id: str) -> Response:  # noqa: A002
    """End one that waits or runs."""
    return await _moved(request, id, Workshop.cancel)


@routes.post("/{id}/pause")
async def pause(request: Request, id: str) -> Response:  # noqa: A002
    """Have one wait until it is resumed; it keeps what it has learnt."""
    return await _moved(request, id, Workshop.stop)


@routes.post("/{id}/resume")
async def resume(request: Request, id: str) -> Response:  # noqa: A002
    """Have one go on that was paused or cancelled, or has failed."""
    return await _moved(request, id, Workshop.resume)


@routes.get("/{id}/events")
async def events(request: Request, id: str, after: str = "", limit: str = "") -> Response:  # noqa: A002
    """What has happened in one, the latest first."""
    workshop, job = workshop_of(request), await _job(request, id)

    def page() -> dict[str, Any]:
        path = workshop.jobs.place(job) / "events.jsonl"
        said = enumerate(events_in(path.read_bytes() if path.exists() else b""))
        return event_list(*latest((event for number, one in said if (event := _event(job, number, one))), after, limit))

    return json_response(await asyncio.to_thread(page))


@routes.get("/{id}/checkpoints")
async def checkpoints(request: Request, id: str) -> Response:  # noqa: A002
    """None that could be used, whatever is kept to go on from."""
    await _job(request, id)
    return json_response(no_checkpoints())


async def _job(request: Request, id_: str) -> Job:
    job = await asyncio.to_thread(workshop_of(request).jobs.get, id_, owner_of(request))
    if job.request is None:
        raise NotFoundError(f"{id_} was begun in the app, and is told there")
    return job


async def _moved(request: Request, id_: str, move: Callable[[Workshop, str, str], Job]) -> Response:
    workshop, _ = workshop_of(request), await _job(request, id_)
    return await _told(workshop, await asyncio.to_thread(move, workshop, owner_of(request), id_))


async def _told(workshop: Workshop, job: Job) -> Response:
    return json_response(job_object(await asyncio.to_thread(_facts, workshop, job)))


def _facts(workshop: Workshop, job: Job) -> JobFacts:
    journal = workshop.journal(job)
    left = journal.left if job.status == "running" else None
    done = job.status == "succeeded"
    return JobFacts(
        job.id,
        _request(job),
        int(job.created),
        _STATUS[job.status],
        None if job.finished is None else int(job.finished),
        job.adapter if done else None,
        job.error,
        journal.learnt if done else None,
        None if left is None else int(time.time() + left),
    )


def _request(job: Job) -> JobRequest:
    assert job.request is not None
    return job.request


def _event(job: Job, number: int, said: dict[str, Any]) -> Event | None:
    id_, created = f"ftevent-{job.id.removeprefix('ftjob-')}-{number}", int(said["at"])
    match said:
        case {"event": "step", "step": step, "loss": loss}:
            return Event(
                id_, created, f"Step {step}: training loss={loss:.4f}", data={"step": step, "train_loss": loss}
            )
        case {"event": "judged", "step": step, "loss": loss}:
            figures = {"step": step, "valid_loss": loss}
            return Event(id_, created, f"Step {step}: validation loss={loss:.4f}", data=figures)
        case {"event": "problem", "line": line, "text": text}:
            return Event(id_, created, f"{said.get('file')}, line {line}, is left out: {text}", "warn")
        case {"event": "began", "steps": steps, "train": train}:
            return Event(id_, created, f"{train} samples to learn from, in {steps} steps")
        case {"event": "note", "text": text}:
            return Event(id_, created, text)
    return None
