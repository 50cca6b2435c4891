"""What the chat app has beside the service: its chats, the answers being written, the pages that listen.

Everybody who has a key has chats of their own: `owner_of` says whose a request is about, and every route asks the store
in that name.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from gadfly.chat.store import ChatInfo, Node, Store
from gadfly.errors import NotFoundError
from gadfly.server.app.asides import Asides
from gadfly.server.app.feeds import Feeds
from gadfly.server.app.fits import Fits
from gadfly.server.app.jobs import Jobs
from gadfly.server.app.page import Page
from gadfly.server.app.persona_files import PersonaFiles
from gadfly.server.app.pulls import Pulls
from gadfly.server.app.sessions import Sessions
from gadfly.server.app.shapes import info_shape, node_shape
from gadfly.server.app.tool_use import ToolUse
from gadfly.server.app.workshop_news import WorkshopNews
from gadfly.server.keys import Key, Scope
from gadfly.server.record import Record
from gadfly.server.refusals import Refused
from gadfly.server.service import Service
from gadfly.settings import Settings, load_settings

__all__ = ["ChatApp", "chat_app_of", "may_use_tools", "require_scope"]


@dataclass
class ChatApp:
    """`home` is where settings and personas are; `flags` are settings that the command line has decided.

    `keys` and `closed` are the house's, and `sessions` its own.
    """

    service: Service
    store: Store
    home: Path
    sessions: Sessions
    keys: Callable[[], Sequence[Key]] = tuple
    closed: bool = False
    flags: Mapping[str, object] = field(default_factory=dict)
    page: Page = field(default_factory=Page)
    feeds: Feeds = field(default_factory=Feeds)

    def __post_init__(self) -> None:
        self._seen: Any = None  # of models
        self._changes = self.store.changes()
        self._told = False  # that something has changed, since the last look around
        self._telling: set[asyncio.Task[None]] = set()
        self.asides = Asides(self.service.models, lambda: self.jobs.busy)
        self.jobs = Jobs(self.service.models, self.store, self.feeds, self.asides.cancel, self._answered)
        self.reading = asyncio.Semaphore(2)  # of files that may take a while
        self.tools = ToolUse(self.home, self.settings().offline, self.feeds)
        self.personas = PersonaFiles(self.home / "personas")
        self.fits = Fits(self.home / "models")
        self.runs = WorkshopNews(self.service.workshop, self.feeds) if self.service.workshop else None
        self.pulls = Pulls(
            lambda state: self.feeds.tell(None, "pull", state), lambda: self.feeds.tell(None, "models", {})
        )

    def settings(self) -> Settings:
        """As they are now. Reads a file."""
        return load_settings(self.flags, folder=self.home)

    def shape(self, info: ChatInfo, **more: Any) -> dict[str, Any]:
        """A chat as pages get it, with the answers that are being written in it."""
        return info_shape(info, writing=[job.node for job in self.jobs.of(info.owner, info.id)], **more)

    async def tell_chat(self, owner: str, chat: str) -> None:
        """Pages learn that a chat is not what it was: those that show it get it, others may want to ask."""
        self._told = True
        info = await asyncio.to_thread(self.store.info, owner, chat)
        self.feeds.tell(owner, "chat", {"chat": self.shape(info)}, chat)
        self.feeds.tell(owner, "chat", {"id": chat})

    def tell_node(self, owner: str, chat: str, node: Node) -> dict[str, Any]:
        """Pages that show a chat get a message that is new or has changed; so does the caller."""
        shape = node_shape(node)
        self.feeds.tell(owner, "node", {"node": shape}, chat)
        return shape

    async def end_answers(self) -> None:
        """Keep what there is of all answers and let the pages go: the server is about to end, in its grace at most."""
        await self.jobs.close(self.service.limits.grace)
        self.feeds.close()

    async def close(self) -> None:
        """For good."""
        await self.end_answers()
        await self.pulls.close()
        await asyncio.to_thread(self.tools.close)
        await asyncio.to_thread(self.store.close)

    async def look_around(self) -> None:
        """Tell pages of models that have come or gone, and of what a terminal has said. To be called now and then."""
        if self.runs:
            await self.runs.look_around()
        models = self.service.models
        loading = [(one.model.name, one.text, one.done and round(one.done, 2)) for one in models.loading]
        if (seen := (loading, [one.name for one in models.loaded])) != self._seen:
            self._seen = seen
            self.feeds.tell(None, "models", {})
        changes = await asyncio.to_thread(self.store.changes)
        ours, self._told = self._told or self.jobs.busy, False
        if changes != self._changes and not ours:
            self.feeds.tell(None, "chats", {})
            for owner, chat in self.feeds.shown():
                await self._tell_if_there(owner, chat)
            self._told = False
        self._changes = changes

    def _answered(self, owner: str, chat: str) -> None:
        task = asyncio.create_task(self._tell_if_there(owner, chat))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_if_there(self, owner: str, chat: str) -> None:
        with suppress(NotFoundError):
            await self.tell_chat(owner, chat)


def chat_app_of(request: Request) -> ChatApp:
    """The chat app behind a request."""
    app = request.app.state.chat_app
    assert isinstance(app, ChatApp)
    return app


def may_use_tools(request: Request) -> bool:
    """Whether who asks may have tools of this machine called."""
    key = Record.of(request.scope).key
    return key is None or "tools" in key.scopes


def require_scope(request: Request, scope: Scope) -> None:
    """Raises Refused if the request came with a key that is not good for `scope`."""
    key = Record.of(request.scope).key
    if key is not None and scope not in key.scopes:
        raise Refused("forbidden", f"the key {key.name} is good for {', '.join(key.scopes)}, but not for {scope}")
