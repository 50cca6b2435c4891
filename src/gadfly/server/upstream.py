"""Engines elsewhere that speak OpenAI's dialect (vLLM, SGLang, another of ours), as a pool that models are asked of.

One thread has a loop of its own for all connections. Each request goes to the upstream with the fewest under way among
those that are well and have its model; one that cannot be reached is passed over, and looked at again every few
seconds. An answer that has begun is not begun again elsewhere: it ends with an error. What they say: `upstream_answer`.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import orjson

from gadfly.api.model_card import ModelCard
from gadfly.api.openai_upstream import SO_FAR, Reader, without_usage_so_far
from gadfly.engine import Cancellation
from gadfly.errors import CapacityError, GadflyError
from gadfly.server.remote_choice import RemoteChoice
from gadfly.server.upstream_answer import broken_off, card_of, chunk_of, lines_of, refusal_of, unreachable

__all__ = ["Pool", "Upstream"]

T = TypeVar("T")

_PATIENCE = httpx2.Timeout(600.0, connect=5.0)  # seconds without a byte of an answer
_CONNECTIONS = httpx2.Limits(keepalive_expiry=2.0)  # as many as it takes; engines close idle ones after five seconds


@dataclass(eq=False)
class Upstream:
    """An engine: `url` without /v1, its models by name as of the last look, `well` whether it answered then.

    `counts`: it has not refused yet to say in every chunk what has been used.
    """

    url: str
    running: int = 0
    well: bool = False
    counts: bool = True
    models: Mapping[str, ModelCard] = field(default_factory=dict)


class Pool:
    """See the module. `key` is shown to all. They are looked at in the beginning and every `interval` seconds."""

    def __init__(self, urls: Sequence[str], key: str | None = None, interval: float = 5.0) -> None:
        self.upstreams = tuple(Upstream(url.rstrip("/").removesuffix("/v1")) for url in urls)
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._interval = interval
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gadfly-upstreams", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._look(), self._loop).result()

    def models(self) -> dict[str, ModelCard]:
        """What can be asked for now."""
        return {name: card for each in reversed(self.upstreams) if each.well for name, card in each.models.items()}

    def ask(
        self, model: str, path: str, body: Mapping[str, Any], reader: Reader, n: int, listener: Callable[[Any], None]
    ) -> list[RemoteChoice]:
        """The choices of an answer that has been accepted. Not for the thread of an event loop: it waits for that.

        Raises GadflyError: what the upstream refuses, or CapacityError if none can be reached.
        """
        tasks: list[asyncio.Task[None]] = []
        choices = [RemoteChoice(reader, lambda: self._cancel(tasks)) for _ in range(n)]

        async def begin() -> None:
            accepted: asyncio.Future[None] = self._loop.create_future()
            tasks.append(self._loop.create_task(self._answer(model, path, body, reader, choices, listener, accepted)))
            await accepted

        asyncio.run_coroutine_threadsafe(begin(), self._loop).result()
        return choices

    def post(
        self,
        model: str,
        path: str,
        body: Mapping[str, Any],
        read: Callable[[Any], T],
        cancellation: Cancellation | None = None,
    ) -> T:
        """What `read` makes of an upstream's answer to a request without a stream. Waits and raises like `ask`."""
        asked = asyncio.run_coroutine_threadsafe(self._post(model, path, body), self._loop)
        if cancellation:
            cancellation.then(asked.cancel)
        try:
            return read(orjson.loads(asked.result().content))
        except CancelledError:
            raise CapacityError("the request was given up") from None
        except (ValueError, KeyError, TypeError) as error:
            raise CapacityError(f"the upstream answered with what is none to {path}") from error

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._client = httpx2.AsyncClient(
            timeout=_PATIENCE, limits=_CONNECTIONS, headers=self._headers, trust_env=False
        )
        looking = self._loop.create_task(self._look_again())
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(looking, *tasks, return_exceptions=True))
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        await asyncio.gather(*map(self._look_at, self.upstreams))

    async def _look_at(self, upstream: Upstream) -> None:
        try:
            answer = await self._client.get(f"{upstream.url}/v1/models", timeout=5.0)
            answer.raise_for_status()
            upstream.models = {card["id"]: card_of(card) for card in orjson.loads(answer.content)["data"]}
            upstream.well = True
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            upstream.well = False

    def _in_order(self, model: str) -> list[Upstream]:
        able = [each for each in self.upstreams if each.well and model in each.models]
        return sorted(able, key=lambda each: each.running)

    async def _answer(
        self,
        model: str,
        path: str,
        body: Mapping[str, Any],
        reader: Reader,
        choices: Sequence[RemoteChoice],
        listener: Callable[[Any], None],
        accepted: asyncio.Future[None],
    ) -> None:
        try:
            async for chunk in self._chunks(model, path, body, accepted):
                for number, event in reader.events(chunk):
                    choices[number].put(event)
                listener(None)
            for number, event in reader.end():
                choices[number].put(event)
        except asyncio.CancelledError:
            for choice in choices:
                choice.fail(CapacityError("the answer was given up"))
            raise
        except Exception as error:
            if not accepted.done():
                accepted.set_exception(error)
                return
            for choice in choices:
                choice.fail(error if isinstance(error, GadflyError) else broken_off(error))
        finally:
            if not accepted.done():
                accepted.cancel()
            with suppress(RuntimeError):  # whoever listened is gone with its loop
                listener(None)

    async def _chunks(
        self, model: str, path: str, body: Mapping[str, Any], accepted: asyncio.Future[None]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """What the first upstream that takes the request streams."""
        able = deque(self._in_order(model))
        while able:
            upstream = able.popleft()
            asked = body if upstream.counts else without_usage_so_far(body)
            upstream.running += 1
            try:
                async with self._client.stream("POST", f"{upstream.url}{path}", json=asked) as answer:
                    if answer.status_code == 503:  # full, or about to end
                        continue
                    if answer.status_code != 200:
                        if upstream.counts and SO_FAR.encode() in await answer.aread():
                            upstream.counts = False
                            able.appendleft(upstream)
                            continue
                        await answer.aread()
                        raise refusal_of(answer)
                    accepted.set_result(None)
                    async for line in lines_of(answer):
                        if line.startswith(b"data: {"):
                            yield chunk_of(line[6:])
                    return
            except httpx2.TransportError as error:
                upstream.well = False
                if accepted.done():
                    raise broken_off(error) from error
            finally:
                upstream.running -= 1
        raise unreachable(model)

    async def _post(self, model: str, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        for upstream in self._in_order(model):
            try:
                answer = await self._client.post(f"{upstream.url}{path}", json=body)
            except httpx2.TransportError:
                upstream.well = False
                continue
            if answer.status_code == 503:
                continue
            if answer.status_code != 200:
                raise refusal_of(answer)
            return answer
        raise unreachable(model)

    def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        with suppress(RuntimeError):  # the loop has ended, and every request with it
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
