"""Models come when they are asked for and go when nobody wants them or another needs the room."""

import asyncio
import math
import threading

import pytest

from gadfly.errors import BusyError, ModelFileError, NotFoundError
from gadfly.server.models import Models
from gadfly.server.service import Service
from gadfly.testing import ScriptedAnswers
from serving import Shelf


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def shelf(*names, **options):
    return Shelf({name: (lambda: ScriptedAnswers(())) for name in names}, **options)


def run(story):
    """Run a coroutine function without arguments, and find every thread that it started ended."""
    before = set(threading.enumerate())
    asyncio.run(story())
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("gadfly-"):
            thread.join(30)
            assert not thread.is_alive()


def names(models):
    return [found.name for found in models.loaded]


def test_a_model_is_loaded_once_however_many_ask():
    async def story():
        models = Models(stock := shelf("a"))

        async def ask():
            async with models.use("a") as found:
                await asyncio.sleep(0)
                return found

        found = await asyncio.gather(*(ask() for _ in range(20)))
        assert len(set(map(id, found))) == 1
        assert stock.loads == ["a"]
        assert found[0].users == 0
        await models.close()
        assert names(models) == []

    run(story)


def test_what_fails_to_load_fails_for_all_who_asked_and_is_tried_again():
    async def story():
        asked = threading.Event()

        class Slow(Shelf):
            def load(self, *given):
                assert asked.wait(30)
                return super().load(*given)

        models = Models(stock := Slow({"a": ModelFileError("a is damaged")}))

        async def ask():
            async with models.use("a"):
                pass

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        while models._wanted["a"] < 3:
            await asyncio.sleep(0)
        asked.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert {str(error) for error in found} == {"a is damaged"}
        assert stock.loads == ["a"]
        stock.models["a"] = lambda: ScriptedAnswers(())
        await ask()
        assert not models.loading
        await models.close()

    run(story)


def test_the_one_used_longest_ago_makes_room():
    async def story():
        models = Models(shelf("a", "b", "c"), most=2)
        for name in ("a", "b", "a", "c"):
            async with models.use(name):
                pass
        assert names(models) == ["a", "c"]
        async with models.use("b"):
            pass
        assert names(models) == ["c", "b"]
        await models.close()

    run(story)


def test_little_memory_is_room_for_one():
    async def story():
        models = Models(shelf("a", "b", room=50))  # each wants 100
        for name in ("a", "b"):
            async with models.use(name):
                assert names(models) == [name]
        await models.close()

    run(story)


def test_who_is_in_use_is_waited_for():
    async def story():
        models = Models(shelf("a", "b"), most=1)

        async def ask():
            async with models.use("b"):
                return names(models)

        async with models.use("a"):
            asking = asyncio.create_task(ask())
            while not models.loading:
                await asyncio.sleep(0)
            assert [each.model.name for each in models.loading] == ["b"]
        assert await asking == ["b"]
        await models.close()

    run(story)


def test_two_who_want_different_ones_do_not_take_them_from_each_other():
    async def story():
        models = Models(stock := shelf("a", "b"), most=1)

        async def ask(name):
            async with models.use(name):
                assert names(models) == [name]

        await asyncio.gather(*(ask(name) for name in "abab"))
        assert sorted(stock.loads) == ["a", "b"]
        await models.close()

    run(story)


def test_patience_with_those_in_use_ends():
    async def story():
        models = Models(shelf("a", "b"), most=1, patience=0.01)
        async with models.use("a"):
            with pytest.raises(BusyError, match="no room for b while a are in use"):
                async with models.use("b"):
                    pass
        await models.close()

    run(story)


def test_the_pinned_stay_and_are_there_from_the_start():
    async def story():
        clock = Clock()
        models = Models(shelf("a", "b"), ["a"], most=1, keep=10, clock=clock)
        assert not models.ready
        await models.preload()
        assert models.ready
        models.keep(models.loaded[0], 0)
        clock.now = 10.0**9
        await models.sweep()
        assert names(models) == ["a"]
        with pytest.raises(BusyError):
            await models.forget("a")
        with pytest.raises(BusyError, match="here to stay"):
            async with models.use("b"):
                pass
        await models.close()

    run(story)


def test_who_is_not_used_goes_after_a_while():
    async def story():
        clock = Clock()
        models = Models(shelf("a", "b", "c"), keep=10, clock=clock)
        for name in ("a", "b", "c"):
            async with models.use(name) as found:
                models.keep(found, {"a": 10, "b": math.inf, "c": 0}[name])
        assert names(models) == ["a", "b"]
        clock.now = 9.0
        await models.sweep()
        assert [models.remaining(found) for found in models.loaded] == [1.0, math.inf]
        async with models.use("a"):
            clock.now = 100.0
            await models.sweep()
        clock.now = 109.0
        await models.sweep()
        assert names(models) == ["b", "a"]
        clock.now = 110.0
        await models.sweep()
        assert names(models) == ["b"]
        await models.close()

    run(story)


def test_names_have_tags_and_aliases():
    async def story():
        models = Models(shelf("a", "b"), aliases={"gpt": "a"})
        assert [await models.named(name) for name in ("a", "b:latest", "gpt")] == ["a", "b", "a"]
        for wrong in ("", "c", "a:7b", "../a", "*"):
            with pytest.raises(NotFoundError):
                await models.named(wrong)
        everything = Models(shelf("a", "b"), aliases={"*": "a"})
        assert [await everything.named(name) for name in ("b", "c", "../b")] == ["b", "a", "a"]

    run(story)


def test_a_model_that_goes_while_all_are_listed_is_listed_as_any_other():
    async def story():
        models = Models(shelf("a", "b"))
        service = Service(models)
        async with models.use("a"):
            pass
        listing = asyncio.create_task(service.cards())
        await asyncio.sleep(0)
        await models.forget("a")
        assert [card.name for card in await listing] == ["a", "b"]
        await models.close()

    run(story)


def test_a_model_in_use_cannot_be_forgotten():
    async def story():
        models = Models(shelf("a"))
        await models.forget("a")
        async with models.use("a"):
            with pytest.raises(BusyError):
                await models.forget("a")
        await models.forget("a")
        assert names(models) == []
        await models.close()

    run(story)


def test_a_model_is_loaded_anew_and_answers_under_way_keep_the_one_they_have():
    async def story():
        models = Models(stock := shelf("a", "b"), pinned=("b",))
        await models.renew("a")
        assert stock.loads == []
        async with models.use("a") as old:
            await models.renew("a")
            async with models.use("a") as new:
                assert new is not old and old.thread.is_alive()
        assert not old.thread.is_alive() and models.loaded == (new,)
        await models.preload()
        await models.renew("b")
        assert stock.loads == ["a", "a", "b", "b"] and models.ready
        async with models.use("a"):
            await models.renew("a")
            await models.close()

    run(story)
