"""What the chat app has beside the service: its chats, the answers being written, the pages that listen.

Everybody who has a key has chats of their own: `owner_of` says whose a request is about, and every route asks the store
in that name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from gadfly.server.app.feeds import Feeds
from gadfly.server.app.fits import Fits
from gadfly.server.app.page import Page
from gadfly.server.app.persona_files import PersonaFiles
from gadfly.server.app.pulls import Pulls
from gadfly.server.app.sessions import Sessions
from gadfly.server.keys import Key, Scope
from gadfly.server.record import Record
from gadfly.server.refusals import Refused
from gadfly.settings import Settings, load_settings

__all__ = ["ChatApp", "chat_app_of", "owner_of", "require_scope"]


@dataclass
class ChatApp:
    """`home` is where settings and personas are; `flags` are settings that the command line has decided.

    `keys` and `closed` are the house's, and `sessions` its own.
    """

    home: Path
    sessions: Sessions
    keys: Callable[[], Sequence[Key]] = tuple
    closed: bool = False
    flags: Mapping[str, object] = field(default_factory=dict)
    page: Page = field(default_factory=Page)
    feeds: Feeds = field(default_factory=Feeds)

    def __post_init__(self) -> None:
        self.personas = PersonaFiles(self.home / "personas")
        self.fits = Fits(self.home / "models")
        self.pulls = Pulls(
            lambda state: self.feeds.tell(None, "pull", state), lambda: self.feeds.tell(None, "models", {})
        )

    def settings(self) -> Settings:
        """As they are now. Reads a file."""
        return load_settings(self.flags, folder=self.home)


def chat_app_of(request: Request) -> ChatApp:
    """The chat app behind a request."""
    app = request.app.state.chat_app
    assert isinstance(app, ChatApp)
    return app


def owner_of(request: Request) -> str:
    """Whose chats a request is about: the name of a key, or "" in a house that asks for none."""
    key = Record.of(request.scope).key
    return key.name if key else ""


def require_scope(request: Request, scope: Scope) -> None:
    """Raises Refused if the request came with a key that is not good for `scope`."""
    key = Record.of(request.scope).key
    if key is not None and scope not in key.scopes:
        raise Refused("forbidden", f"the key {key.name} is good for {', '.join(key.scopes)}, but not for {scope}")
