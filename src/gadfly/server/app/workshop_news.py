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

Numbers = dict[str, object]  # by id: see `Jobs.changed`


class WorkshopNews:
    """To be asked to look around now and then: other servers of the same home may change things, too."""

    def __init__(self, workshop: Workshop, feeds: Feeds) -> None:
        """Reads files: what is there already is no news."""
        self._workshop, self._feeds = workshop, feeds
        self._numbers = self._now()
        self._known = self._jobs()
        self._heard: dict[Feed, int] = {}  # events of the journal that it follows
        self.looking = asyncio.Lock()  # also held while a feed is opened: a change is in its snapshot, or told to it

    def follow(self, feed: Feed, count: int) -> None:
        """A page that knows of so many events of the run that it looks at. The caller is `looking` since before."""
        self._heard[feed] = count

    async def look_around(self) -> None:
        async with self.looking:
            numbers, jobs, changed = await asyncio.to_thread(self._look)
            await self._tell_news()  # first: who hears that a run is over has heard all of it
            for shape, owner in changed:
                self._feeds.tell(owner, "run", {"run": shape})
                self._feeds.tell(owner, "run", {"run": shape}, shape["id"])
            for gone in self._known.keys() - jobs.keys():
                owner = self._known[gone].owner
                self._feeds.tell(owner, "run", {"id": gone})
                self._feeds.tell(owner, "gone", {}, gone)
            self._numbers, self._known = numbers, jobs

    async def _tell_news(self) -> None:
        self._heard = {feed: count for feed, count in self._heard.items() if feed in self._feeds}
        followed = list(self._heard)
        for feed, (count, news) in zip(followed, await asyncio.to_thread(self._news, followed), strict=True):
            self._heard[feed] = count
            if news is None:
                feed.end()  # it comes back, and gets everything afresh
            for one in news or ():
                feed.put(one)

    def _look(self) -> tuple[Numbers, dict[str, Job], list[tuple[dict[str, Any], str]]]:
        """What there is now; and runs that are not as they were, with those that wait, whose turn may be nearer."""
        numbers = self._now()  # first: a run that changes while it is read is read again the next time
        if numbers == self._numbers:
            return numbers, self._known, []
        jobs = self._jobs()
        told = [job for job in jobs.values() if job != self._known.get(job.id) or job.status in WAITS]
        return numbers, jobs, [(run_shape(self._workshop, job), job.owner) for job in told]

    def _now(self) -> Numbers:
        return {id_: self._workshop.jobs.changed(id_) for id_ in self._workshop.jobs.ids()}

    def _jobs(self) -> dict[str, Job]:
        return {job.id: job for job in self._workshop.jobs.list()}

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
