"""What open pages hear of runs: that there is one, that it has changed, and how it learns while somebody looks."""

import asyncio
from collections.abc import Sequence
from typing import Any

from gadfly.errors import NotFoundError
from gadfly.server.app.feeds import Feed, Feeds, event
from gadfly.server.app.workshop_shapes import event_shape, run_shape
from gadfly.server.workshop.job import WAITS, Job
from gadfly.server.workshop.workshop import Workshop

__all__ = ["WorkshopNews"]


class WorkshopNews:
    """To be asked to look around now and then: other servers of the same home may change things, too."""

    def __init__(self, workshop: Workshop, feeds: Feeds) -> None:
        self._workshop, self._feeds = workshop, feeds
        self._known: dict[str, tuple[str, int]] | None = None  # by id the owner, and which state it was in
        self._heard: dict[Feed, int] = {}  # events of a journal

    def follow(self, feed: Feed, count: int) -> None:
        """A page that knows of so many events of the run that it looks at."""
        self._heard = {one: heard for one, heard in self._heard.items() if one in self._feeds}
        self._heard[feed] = count

    async def look_around(self) -> None:
        changed, gone = await asyncio.to_thread(self._look)
        for shape, owner in changed:
            self._feeds.tell(owner, "run", {"run": shape})
            self._feeds.tell(owner, "run", {"run": shape}, shape["id"])
        for id_, owner in gone:
            self._feeds.tell(owner, "run", {"id": id_})
            self._feeds.tell(owner, "gone", {}, id_)
        followed = [feed for feed in self._heard if feed in self._feeds]
        for feed, (count, news) in zip(followed, await asyncio.to_thread(self._news, followed), strict=True):
            self._heard[feed] = count
            if news is None:
                feed.end()  # it comes back, and gets everything afresh
            for one in news or ():
                feed.put(one)

    def _look(self) -> tuple[list[tuple[dict[str, Any], str]], list[tuple[str, str]]]:
        before = self._known
        jobs = {job.id: job for job in self._workshop.jobs.list()}
        self._known = {id_: (job.owner, self._workshop.jobs.changed(id_) or 0) for id_, job in jobs.items()}
        if before is None or before == self._known:
            return [], []
        told = [job for job in jobs.values() if before.get(job.id) != self._known[job.id] or job.status in WAITS]
        gone = [(id_, owner) for id_, (owner, _) in before.items() if id_ not in jobs]
        return [(run_shape(self._workshop, job), job.owner) for job in told], gone

    def _news(self, feeds: Sequence[Feed]) -> list[tuple[int, list[bytes] | None]]:
        """For each page how many events it knows of then, and what it hears; None if it is too late for that."""
        found: list[tuple[int, list[bytes] | None]] = []
        shapes: dict[str, dict[str, Any]] = {}
        for feed in feeds:
            try:
                job: Job = self._workshop.jobs.get(feed.chat or "", feed.owner)
            except NotFoundError:
                found.append((0, []))
                continue
            events = self._workshop.journal(job).since(heard := self._heard[feed])
            if events:
                shapes.setdefault(job.id, run_shape(self._workshop, job))
            told = None if events is None else [event_shape(one, shapes[job.id]) for one in events]
            news = None if told is None else [event(*one) for one in told if one]
            found.append((heard + len(events or ()), news))
        return found
