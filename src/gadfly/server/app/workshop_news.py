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
        self._heard: dict[Feed, int] = {}  # events of the journal that it follows

    def follow(self, feed: Feed, count: int) -> None:
        """A page that knows of so many events of the run that it looks at."""
        self._heard[feed] = count

    async def look_around(self) -> None:
        changed, gone = await asyncio.to_thread(self._look)
        await self._tell_news()  # first: who hears that a run is over has heard all of it
        for shape, owner in changed:
            self._feeds.tell(owner, "run", {"run": shape})
            self._feeds.tell(owner, "run", {"run": shape}, shape["id"])
        for id_, owner in gone:
            self._feeds.tell(owner, "run", {"id": id_})
            self._feeds.tell(owner, "gone", {}, id_)

    async def _tell_news(self) -> None:
        self._heard = {feed: count for feed, count in self._heard.items() if feed in self._feeds}
        followed = list(self._heard)
        for feed, (count, news) in zip(followed, await asyncio.to_thread(self._news, followed), strict=True):
            self._heard[feed] = count
            if news is None:
                feed.end()  # it comes back, and gets everything afresh
            for one in news or ():
                feed.put(one)

    def _look(self) -> tuple[list[tuple[dict[str, Any], str]], list[tuple[str, str]]]:
        """Runs that are not as they were, with those that wait, whose turn may be nearer; and those that are gone."""
        before, jobs = self._known, self._workshop.jobs
        self._known = {id_: (before or {}).get(id_, ("", 0)) for id_ in jobs.ids()}
        changed = [id_ for id_, (_, seen) in self._known.items() if seen != jobs.changed(id_)]
        gone = [(id_, owner) for id_, (owner, _) in (before or {}).items() if id_ not in self._known]
        if not changed and not gone:
            return [], []
        found = {job.id: job for job in jobs.list()}
        for id_ in changed:
            self._known[id_] = (found[id_].owner if id_ in found else "", jobs.changed(id_) or 0)
        told = [job for job in found.values() if job.id in changed or job.status in WAITS] if before is not None else []
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
            events = self._workshop.followed(job).since(heard := self._heard[feed])
            if events:
                shapes.setdefault(job.id, run_shape(self._workshop, job))
            told = None if events is None else [event_shape(one, shapes[job.id]) for one in events]
            news = None if told is None else [event(*one) for one in told if one]
            found.append((heard + len(events or ()), news))
        return found
