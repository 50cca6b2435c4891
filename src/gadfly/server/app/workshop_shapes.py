"""Runs, files and what is wrong with them, as the workshop's page gets them."""

from collections.abc import Mapping
from typing import Any

from gadfly.api.openai_files import FileFacts
from gadfly.server.workshop.job import Job
from gadfly.server.workshop.journal import judged_of, point_of, tried_of
from gadfly.server.workshop.workshop import Workshop

__all__ = ["check_shape", "event_shape", "file_shape", "opened_shape", "run_shape"]


def run_shape(workshop: Workshop, job: Job) -> dict[str, Any]:
    """A run without its curve. Reads files."""
    journal, plan = workshop.journal(job), job.plan or {}
    judged = journal.judged  # which others read on, and replace, meanwhile
    return {
        "id": job.id,
        "name": job.name,
        "model": job.model,
        "method": job.method,
        "origin": "app" if job.request is None else "api",
        "status": job.status,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "ahead": workshop.ahead(job),
        "data": {"chats": job.chats, "files": job.files, "given": job.given, "valid": job.valid},
        "settings": job.settings,
        "plan": job.plan,
        "samples": journal.samples if journal.samples is not None else plan.get("samples"),
        "step": journal.step,
        "steps": journal.steps if journal.steps is not None else plan.get("steps"),
        "loss": journal.loss,
        "valid_loss": judged[-1]["loss"] if judged else None,
        "tokens_per_second": journal.speed,
        "seconds_left": journal.left if job.status == "running" else None,
        "error": job.error,
        "adapter": job.adapter if workshop.on_shelf(job) else None,
    }


def opened_shape(workshop: Workshop, job: Job) -> tuple[dict[str, Any], int]:
    """A run with all that is known of it, and after how many events that is so. Reads files."""
    run = run_shape(workshop, job)
    state, count = workshop.followed(job).state()
    return {"run": run, **state}, count


def event_shape(event: Mapping[str, Any], run: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """What a page hears of an event of a journal."""
    match event:
        case {"event": "step", "loss": _}:
            return "step", {**point_of(event), "run": run}
        case {"event": "judged"}:
            return "judged", judged_of(event)
        case {"event": "tried"}:
            return "tried", tried_of(event)
        case {"event": "note", "text": text}:
            return "note", {"at": event["at"], "text": text}
        case {"event": "problem"}:
            return "problem", {name: event.get(name) for name in ("file", "line", "text")}
    return None


def file_shape(facts: FileFacts) -> dict[str, Any]:
    return {"id": facts.id, "name": facts.filename, "bytes": facts.size, "created": facts.created}


def check_shape(report: Mapping[str, Any], facts: FileFacts) -> dict[str, Any]:
    """What `gadfly data check` reports of one file, which is called as its sender calls it."""
    (counts,) = report["files"].values()
    findings = [
        {"line": one["line"], "kind": one["kind"], "text": one["text"].replace(f"{facts.id}.jsonl", facts.filename)}
        for one in report["findings"]
    ]
    return {"wrong": report["wrong"], "counts": counts, "found": report["counts"], "findings": findings}
