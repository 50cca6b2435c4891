"""Which models are loaded: by name, when somebody asks, until nobody has asked for a while or another needs the room.

Everything here happens on the event loop except what takes long: one thread loads, one model after another, and each
loaded model has a thread that runs its steps. What a name stands for and how a model is loaded is `Shelf`'s affair.
"""

import asyncio
import gc
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Thread

from gadfly.allocator import give_back
from gadfly.api.model_card import ModelCard
from gadfly.errors import BusyError, NotFoundError
from gadfly.server.loaded import Loaded, Loading
from gadfly.server.model import Shelf

__all__ = ["Models"]


class Models:
    """See the module. `most` models are loaded at once; those in `pinned` are loaded at the start and stay.

    `aliases` are other names for models; what "*" stands for answers to every name that is not known.
    """

    def __init__(
        self,
        shelf: Shelf,
        pinned: Sequence[str] = (),
        aliases: Mapping[str, str] | None = None,
        most: int = 3,
        keep: float = 300.0,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pinned = tuple(pinned)
        self._shelf = shelf
        self._aliases = dict(aliases or {})
        self._most = max(most, len(self.pinned))
        self._keep = keep
        self._patience = patience
        self._clock = clock
        self._loaded: dict[str, Loaded] = {}  # in order of use
        self._loading: dict[str, tuple[Loading, asyncio.Task[None]]] = {}
        self._wanted: Counter[str] = Counter()  # by how many who will use it as soon as it is there
        self._replaced: list[Loaded] = []  # by another of the same name, and still in use
        self._changed = asyncio.Event()
        self._one_by_one = asyncio.Lock()
        self._loader = ThreadPoolExecutor(1, "gadfly-load")

    async def stocked(self) -> dict[str, ModelCard]:
        """What can be asked for, by name."""
        return {model.name: model for model in await asyncio.to_thread(self._shelf.list)}

    @property
    def loaded(self) -> Sequence[Loaded]:
        return tuple(self._loaded.values())

    @property
    def idle(self) -> bool:
        """Whether none is in use, nor on its way."""
        return not self._loading and all(map(self._is_idle, self.loaded))

    @property
    def loading(self) -> Sequence[Loading]:
        return tuple(loading for loading, _ in self._loading.values())

    @property
    def ready(self) -> bool:
        """Whether every model that is to be there from the start is there."""
        return all(name in self._loaded for name in self.pinned)

    async def preload(self) -> None:
        """Load what is pinned. Raises what goes wrong with the first."""
        for name in self.pinned:
            async with self.use(name):
                pass

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Loaded]:
        """Have a model inside, loaded if it was not.

        Raises NotFoundError, BusyError if too many others are in use, and what loading raises.
        """
        card = await self._card(name)
        name = card.name
        self._wanted[name] += 1
        try:
            while (found := self._loaded.get(name)) is None:
                await self._load(card)
            self._loaded[name] = self._loaded.pop(name)
            found.users += 1
        finally:
            self._wanted[name] -= 1
            self._changed.set()
        try:
            yield found
        finally:
            found.users -= 1
            found.used = self._clock()
            self._changed.set()
            replaced = found in self._replaced and not found.users
            if replaced or (found.keep == 0 and self._is_idle(found)):
                await self._unload(found)

    async def named(self, name: str) -> str:
        """The name that a model has here. Raises NotFoundError."""
        return (await self._card(name)).name

    async def adapters(self, name: str) -> Mapping[str, float]:
        """Those that a name like smollm2+pirate asks for beside the model, at full strength. Raises NotFoundError."""
        _, adapters = await self._found(name)
        return dict.fromkeys(adapters, 1.0)

    async def _card(self, name: str) -> ModelCard:
        card, _ = await self._found(name)
        return card

    async def _found(self, name: str) -> tuple[ModelCard, Sequence[str]]:
        """A model, and the names of adapters behind it."""
        name = self._aliases.get(name, name).removesuffix(":latest")
        if loaded := self._loaded.get(name):
            return loaded.model, ()
        stocked = await self.stocked()
        model, *adapters = name.split("+")
        other = self._aliases.get("*", name)
        for known, beside in ((name, []), (self._aliases.get(model, model), adapters), (other, [])):
            if known in stocked:
                return stocked[known], beside
        raise NotFoundError(f"there is no model called {name!r:.100} here; GET /v1/models lists what there is")

    def keep(self, found: Loaded, seconds: float) -> None:
        """How long a model stays when nobody uses it: infinity, 0 or anything between. Pinned ones stay anyhow."""
        if found.name not in self.pinned:
            found.keep = seconds

    def remaining(self, found: Loaded) -> float:
        """Seconds that a model has yet to stay if nobody uses it."""
        return found.keep if found.users else found.keep - (self._clock() - found.used)

    async def sweep(self) -> None:
        """Let go of what nobody has used for long enough. To be called now and then."""
        now = self._clock()
        for found in self.loaded:
            if self._is_idle(found) and now - found.used >= found.keep:
                await self._unload(found)

    async def forget(self, name: str) -> None:
        """Unload a model if it is loaded. Raises BusyError if it is in use."""
        found = self._loaded.get(name)
        if name in self._loading or (found and not self._is_idle(found)) or name in self.pinned:
            raise BusyError(f"{name} is in use; try again when it is not", 10.0)
        if found:
            await self._unload(found)

    async def renew(self, name: str) -> None:
        """Load a model anew the next time, or now if it is to stay: there is something new beside it.

        Answers under way go on with it as it was.
        """
        if name in self._loading:  # it may have looked beside itself before that was there
            await asyncio.wait([self._loading[name][1]])
        if (found := self._loaded.pop(name, None)) is None:
            return
        self._replaced.append(found)
        if not found.users:
            await self._unload(found)
        if name in self.pinned:
            async with self.use(name):
                pass

    async def close(self, seconds: float = 0.0) -> None:
        """Unload everything; answers under way have so many seconds."""
        for _, task in tuple(self._loading.values()):
            task.cancel()
        await asyncio.gather(*(self._unload(found, seconds) for found in (*self.loaded, *self._replaced)))
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _is_idle(self, found: Loaded) -> bool:
        """Whether nobody uses it, nor was it loaded for somebody who has yet to hear of it."""
        return not found.users and not self._wanted[found.name]

    async def _load(self, model: ModelCard) -> None:
        """Return when the model has been loaded by this request or another. Raises what went wrong."""
        name = model.name
        if name not in self._loading:
            loading = Loading(model)
            task = asyncio.create_task(self._bring(loading))
            self._loading[name] = loading, task
            task.add_done_callback(lambda task: self._brought(name, task))
        await asyncio.shield(self._loading[name][1])

    def _brought(self, name: str, task: asyncio.Task[None]) -> None:
        del self._loading[name]
        if not task.cancelled():
            task.exception()  # which has been seen by now, if only by us: whoever asked may have left

    async def _bring(self, loading: Loading) -> None:
        async with self._one_by_one:
            await self._make_room(loading.model)
            llm = await asyncio.get_running_loop().run_in_executor(
                self._loader, self._shelf.load, loading.model, loading
            )
        name = loading.model.name
        thread = Thread(target=llm.run, name=f"gadfly-{name}", daemon=True)
        thread.start()
        keep = math.inf if name in self.pinned else self._keep
        self._loaded[name] = Loaded(loading.model, llm, keep, thread, used=self._clock())

    async def _make_room(self, model: ModelCard) -> None:
        """Unload idle models, the one used longest ago first, until this one may come; wait for one if all are busy."""
        end = self._clock() + self._patience
        while others := [found for found in self.loaded if found.name not in self.pinned]:
            if len(self._loaded) < self._most and self._shelf.room() >= model.size:
                return
            if idle := next(filter(self._is_idle, others), None):
                await self._unload(idle)
                continue
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0, end - self._clock()))
            except TimeoutError:
                names = ", ".join(found.name for found in others)
                raise BusyError(f"there is no room for {model.name} while {names} are in use", 10.0) from None
        if len(self._loaded) >= self._most:
            raise BusyError(f"{len(self._loaded)} models are here to stay, and there may not be more", 60.0)

    async def _unload(self, found: Loaded, seconds: float = 0.0) -> None:
        if found in self._replaced:
            self._replaced.remove(found)
        elif self._loaded.get(found.name) is found:
            del self._loaded[found.name]
        else:  # somebody else has seen that it may go
            return
        self._changed.set()
        llm = found.llm
        del found.llm  # whoever has yet to forget the rest does not keep what is large
        await asyncio.to_thread(llm.drain, seconds)
        await asyncio.to_thread(found.thread.join)
        del llm
        await asyncio.to_thread(gc.collect)  # an engine and its listeners know each other
        await asyncio.to_thread(give_back)
