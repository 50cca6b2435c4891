"""The tools that a chat may offer to a model, from all servers that are allowed, and the calls of them.

A model knows a tool by one name, of its server and its own: letters, digits, _ and - only, as templates and APIs want
it. What a tool is called and does is asked once and kept, so that nothing changes between a question and its consent.
"""

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.mcp import McpSource
from gadfly.chat.tools.offer import Offer, OfferedTool
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.searxng import SearxngSource
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.source import ServerTool, Source
from gadfly.chat.tools.streamable_http import is_near
from gadfly.conversation import Tool
from gadfly.errors import ToolError

__all__ = ["Toolbox", "open_source"]

_MOST = 128  # tools that a model is offered
_LONGEST = 64  # characters of a name that a model sees


class Toolbox:
    """Servers are started when they are first asked for, and stopped by `close`. Safe to be used from many threads.

    With `offline`, what is not on this machine is not asked.
    """

    def __init__(self, file: ToolFile, offline: bool = False) -> None:
        self._file = file
        self._offline = offline
        self._open: dict[str, _Opened] = {}
        self._lock = threading.Lock()
        self._closed = False

    def offer(self, allowed: Sequence[str], patience: Patience) -> Offer:
        """The tools among `allowed`: servers (`web`) and their tools (`notes/search`). May start servers, and wait.

        What is wrong with a server is a problem in the offer, so that the others are of use. Raises SettingsError for
        a file that cannot be read, ToolStopped if it was cancelled.
        """
        servers = self._file.read().servers if allowed else {}
        wanted: dict[str, set[str]] = {}
        for one in allowed:
            server, _, tool = one.partition("/")
            wanted.setdefault(server, set()).add(tool)
        tools: list[OfferedTool] = []
        problems: list[str] = []
        for name, chosen in wanted.items():
            try:
                if name not in servers:
                    raise ToolError(f"there are no tools called {name!r:.60}; gadfly tools list shows what there is")
                listed, wrong = self._listed(servers[name], patience)
            except ToolStopped:
                raise
            except ToolError as error:
                problems.append(str(error))
                continue
            problems += wrong
            problems += [
                f"{name} has no tool {tool!r:.60}" for tool in sorted(chosen - {"", *(one.tool.name for one in listed)})
            ]
            tools += [one for one in listed if "" in chosen or one.tool.name in chosen]
        if len(tools) > _MOST:
            problems.append(f"there are {len(tools)} tools; the model is offered the first {_MOST}")
        return Offer(tuple(_distinct(tools[:_MOST])), tuple(problems))

    def close(self) -> None:
        """Stop every server, and with it what is under way there."""
        with self._lock:
            self._closed = True
            opened, self._open = tuple(self._open.values()), {}
        for one in opened:
            one.source.close()

    def _listed(self, server: ToolServer, patience: Patience) -> tuple[Sequence[OfferedTool], Sequence[str]]:
        with self._lock:
            if self._closed:
                raise ToolError("there are no tools any more, as Gadfly is ending")
            opened = before = self._open.get(server.name)
            if opened is None or opened.server != server:  # it is new, or was written down anew
                opened = self._open[server.name] = _Opened(server, open_source(server, self._offline))
        if before is not None and before is not opened:
            before.source.close()
        return opened.listed(patience)


class _Opened:
    """A source, and the tools it had when it was first asked."""

    def __init__(self, server: ToolServer, source: Source) -> None:
        self.server = server
        self.source = source
        self._lock = threading.Lock()
        self._listed: tuple[Sequence[OfferedTool], Sequence[str]] | None = None

    def listed(self, patience: Patience) -> tuple[Sequence[OfferedTool], Sequence[str]]:
        server = self.server
        patience.hold(self._lock, server.name)
        try:
            if self._listed is None:
                found, problems = self.source.tools(patience)
                tools = [
                    OfferedTool(server.name, tool, _shown(server.name, tool), self.source, server.seconds)
                    for tool in found
                ]
                self._listed = tools, problems
            return self._listed
        finally:
            self._lock.release()


def open_source(server: ToolServer, offline: bool = False) -> Source:
    """Raises ToolError if it may not be asked. Nothing is started yet."""
    address = server.url or server.searxng
    if offline and address and not is_near(urlsplit(address).hostname or ""):
        raise ToolError(f"{server.name} is not on this machine, and Gadfly is set to stay offline")
    return SearxngSource(server) if server.searxng else McpSource(server)


def _shown(server: str, tool: ServerTool) -> Tool:
    name = f"{server}__{re.sub(r'[^A-Za-z0-9_-]', '_', tool.name)}"
    return Tool(name[:_LONGEST], tool.description, tool.parameters)


def _distinct(tools: Sequence[OfferedTool]) -> list[OfferedTool]:
    """Names that became the same get a number that follows from what they were."""
    names = [one.shown.name for one in tools]
    made = []
    for one in tools:
        if names.count(one.shown.name) > 1:
            digest = hashlib.sha256(json.dumps([one.server, one.tool.name]).encode()).hexdigest()[:8]
            one = replace(one, shown=replace(one.shown, name=f"{one.shown.name[: _LONGEST - 9]}_{digest}"))
        made.append(one)
    return made
