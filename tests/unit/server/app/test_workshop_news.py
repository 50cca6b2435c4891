"""Pages hear of all that becomes of a run, whenever it happens: between two looks, during one, before the first."""

import asyncio
from dataclasses import replace

import pytest

from chat_page import read_events
from gadfly.errors import SettingsError
from gadfly.server.app.feeds import Feeds
from gadfly.server.app.workshop_news import WorkshopNews
from gadfly.server.workshop.job import Job
from gadfly.server.workshop.workshop import Workshop


class House:
    """A workshop where nothing happens by itself, a page that looks at its one run, and one that looks at all."""

    def __init__(self, home):
        self.workshop, self.feeds = Workshop(home, str), Feeds()
        self.jobs = self.workshop.jobs
        self.job = Job(self.jobs.new_id(), "", "fly", "m", "sft", 1.0, "running")
        with self.jobs.beginning() as aside, self.jobs.changing():
            self.jobs.add(self.job, aside)
        self.news = WorkshopNews(self.workshop, self.feeds)
        self.read = self.jobs.list

    def becomes(self, status, text=None):
        self.jobs.change(self.job.id, lambda job: replace(job, status=status), text)

    def heard(self, *happens):
        """The names of what pages are told, where each of these happens before a look, and how the run is then."""

        async def look():
            with self.feeds.open("") as whole, self.feeds.open("", self.job.id) as one:
                self.news.follow(one, self.workshop.followed(self.job).state()[1])
                for happen in happens:
                    happen()
                    await self.news.look_around()
                for feed in (whole, one):
                    feed.end()
                return [b"".join([chunk async for chunk in feed.chunks(b"", 60)]) for feed in (whole, one)]

        told = [list(read_events(iter(text.decode().splitlines()))) for text in asyncio.run(look())]
        return [[(name, data["run"]["status"] if "run" in data else "") for name, data in events] for events in told]


def nothing():
    pass


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def test_what_changes_while_it_is_looked_at_is_told_the_next_time(house, monkeypatch):
    def read(*owner):
        found = house.read(*owner)
        monkeypatch.setattr(house.jobs, "list", house.read)
        house.becomes("succeeded")
        return found

    monkeypatch.setattr(house.jobs, "list", read)
    told = house.heard(lambda: house.becomes("stopped"), nothing, nothing)
    assert told == [[("run", "stopped"), ("run", "succeeded")]] * 2


def test_what_changes_before_the_first_look_is_told_once_and_after_its_news(house):
    told = house.heard(lambda: house.becomes("succeeded", "it is on the shelf"), nothing)
    assert told == [[("run", "succeeded")], [("note", ""), ("run", "succeeded")]]


def test_what_could_not_be_told_is_told_the_next_time(house, monkeypatch):
    def fails(_):
        raise SettingsError("the disk is not there")

    house.becomes("succeeded")
    with monkeypatch.context() as ill, house.feeds.open("", house.job.id) as feed:
        ill.setattr(house.workshop, "followed", fails)
        house.news.follow(feed, 0)
        with pytest.raises(SettingsError):
            asyncio.run(house.news.look_around())
    assert house.heard(nothing) == [[("run", "succeeded")]] * 2


def test_what_is_gone_is_told_once(house):
    assert house.heard(lambda: house.jobs.forget(house.job), nothing) == [[("run", "")], [("gone", "")]]


def test_who_sees_that_a_run_is_over_has_its_whole_journal(house, monkeypatch):
    seen = []
    monkeypatch.setattr(house.jobs, "_write", lambda job, _: seen.extend(house.workshop.journal(job).notes))
    house.becomes("succeeded", "it is on the shelf")
    assert [note["text"] for note in seen] == ["it is on the shelf"]
