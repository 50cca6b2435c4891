"""News reaches those it is for, in order, and a page that sleeps costs nothing."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from chat_page import read_events
from gadfly.server.app.feeds import Feeds, event


class Draft:
    def __init__(self, node, *pieces):
        self.node = node
        self.pieces = list(pieces)


def heard(feed):
    """What a page gets until the feed ends."""

    async def all_of_it():
        return b"".join([chunk async for chunk in feed.chunks(b"", 60)])

    return list(read_events(iter(asyncio.run(all_of_it()).decode().splitlines())))


def test_news_goes_to_those_it_is_for():
    feeds = Feeds()
    with feeds.open("anna") as whole, feeds.open("anna", "c1") as one, feeds.open("ben") as other:
        feeds.tell("anna", "chats", {})
        feeds.tell("anna", "node", {"node": 1}, "c1")
        feeds.tell(None, "models", {})
        feeds.close()
        assert [[name for name, _ in heard(feed)] for feed in (whole, one, other)] == [
            ["chats", "models"],
            ["node"],
            ["models"],
        ]
    assert not feeds.of(None, None)


def test_a_page_that_falls_behind_is_cut_off():
    feeds = Feeds()
    with feeds.open("") as feed:
        for number in range(2000):
            feeds.tell("", "chat", {"id": number})
        assert heard(feed) == []


def test_what_comes_while_a_page_takes_something_is_sent_before_the_end():
    async def read(feeds):
        with feeds.open("") as feed:
            feeds.tell("", "chats", {})
            got = []
            async for chunk in feed.chunks(b"", 60):
                got.append(chunk)
                if chunk.startswith(b"event: chats"):
                    feeds.tell("", "models", {})
                    feeds.close()
            return got

    assert asyncio.run(read(Feeds()))[1:] == [event("chats", {}), event("models", {})]


def test_a_page_that_comes_when_the_server_is_about_to_end_does_not_stay():
    feeds = Feeds()
    feeds.close()
    with feeds.open("") as feed:
        assert heard(feed) == []


@given(st.lists(st.tuples(st.booleans(), st.text(min_size=1, max_size=5))), st.data())
def test_a_page_gets_every_character_once_whenever_it_comes_and_looks(pieces, data):
    draft = Draft(7, *pieces[: data.draw(st.integers(0, len(pieces)))])
    rest = pieces[len(draft.pieces) :]
    already = "".join(text for thought, text in draft.pieces if not thought)
    thought = sum(len(text.encode("utf-16-le")) // 2 for one, text in draft.pieces if one)

    async def read():
        feeds = Feeds()
        with feeds.open("", "c") as feed:
            feed.follow(draft)
            chunks = feed.chunks(b"", 60)
            got = [await anext(chunks)]
            for piece in rest:
                draft.pieces.append(piece)
                feed.more()
                if data.draw(st.booleans()):
                    got.append(await anext(chunks))
            feed.finish(draft, event("finished", {}))
            got.append(await anext(chunks))
            await chunks.aclose()
            return b"".join(got).decode().split("\n")

    events = list(read_events(iter(asyncio.run(read()))))
    assert events[-1] == ("finished", {})
    text = already
    for _, found in events[:-1]:
        if "text" in found:
            assert found["at"] == len(text.encode("utf-16-le")) // 2
            text += found["text"]
        else:
            assert found["at"] == thought
            thought += len(found["reasoning"].encode("utf-16-le")) // 2
    assert text == "".join(text for one, text in pieces if not one)
