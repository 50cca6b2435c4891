"""A client of the Model Context Protocol, for tools: begin, list, call.

It speaks two kinds of revisions. Up to 2025-11-25 a connection begins with a handshake, which almost every server
knows, so that is tried first; from 2026-07-28 on every request says by itself what it needs to. Of all that a server
may ask of a client, such as to sample from its model, it offers nothing.
Source: Model Context Protocol, revisions 2025-06-18, 2025-11-25 and 2026-07-28.
"""

import base64
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from gadfly.chat.tools.json_rpc import Refusal, notification, request, result
from gadfly.chat.tools.patience import Patience
from gadfly.chat.tools.process import Process
from gadfly.chat.tools.result import ToolResult, read_result
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.source import ServerTool
from gadfly.chat.tools.streamable_http import StreamableHttp
from gadfly.chat.tools.untrusted import cut, harmless, with_texts
from gadfly.errors import ToolError

__all__ = ["McpSource"]

_HANDSHAKES = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_STATELESS = "2026-07-28"
_META = "io.modelcontextprotocol"
_MOST_TOOLS = 128  # of a server; more than a model can choose from
_MOST_PAGES = 32
_DESCRIPTION_LIMIT = 2_000  # characters
_SCHEMA_LIMIT = 20_000  # characters of JSON


class McpSource:
    """See the module. Nothing is started or asked before it is needed; what has ended is started again."""

    def __init__(self, server: ToolServer) -> None:
        self.name = server.name
        self.version = ""  # of the protocol, once it is known
        self._server = server
        self._connection: Process | StreamableHttp | None = None
        self._beginning = threading.Lock()
        self._numbers = itertools.count(1)
        self._closed = False

    def tools(self, patience: Patience) -> tuple[Sequence[ServerTool], Sequence[str]]:
        found: dict[str, ServerTool] = {}
        problems: list[str] = []
        cursor: dict[str, str] = {}
        for _ in range(_MOST_PAGES):
            page = self._ask("tools/list", cursor, patience)
            listed = page.get("tools")
            if not isinstance(listed, list):
                raise ToolError(f"{self.name} sent a list of tools that is none")
            for item in listed:
                read = _read_tool(item)
                if isinstance(read, str):
                    problems.append(f"{self.name}: {read}")
                elif read.name in found:
                    problems.append(f"{self.name}: there are two tools called {read.name}")
                else:
                    found[read.name] = read
            following = page.get("nextCursor")
            if len(found) > _MOST_TOOLS or len(problems) > _MOST_TOOLS or not isinstance(following, str):
                break
            cursor = {"cursor": following}
        if len(found) > _MOST_TOOLS:
            problems.append(f"{self.name} has more than {_MOST_TOOLS} tools; the rest is left out")
        return tuple(found.values())[:_MOST_TOOLS], tuple(problems[:_MOST_TOOLS])

    def call(self, tool: str, arguments: Mapping[str, Any], patience: Patience) -> ToolResult:
        found = self._ask("tools/call", {"name": tool, "arguments": dict(arguments)}, patience)
        if found.get("resultType", "complete") != "complete":
            raise ToolError(f"{self.name} wants more from its client than a call: {found['resultType']!r:.60}")
        return read_result(found)

    def close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _ask(self, method: str, params: Mapping[str, Any], patience: Patience) -> Mapping[str, Any]:
        return self._exchange(self._connected(patience), method, params, patience)

    def _exchange(
        self, connection: Process | StreamableHttp, method: str, params: Mapping[str, Any], patience: Patience
    ) -> Mapping[str, Any]:
        stateless = self.version == _STATELESS
        told = {**params, "_meta": _meta()} if stateless else params
        message = request(next(self._numbers), method, told)
        if isinstance(connection, Process):
            return result(connection.request(message, patience), self.name)
        headers = {"mcp-protocol-version": self.version} if self.version else {}
        if stateless:
            headers["mcp-method"] = method
            headers |= {"mcp-name": _header(params["name"])} if "name" in params else {}
        return result(connection.request(message, patience, headers), self.name)

    def _connected(self, patience: Patience) -> Process | StreamableHttp:
        """The connection, begun if there is none or the one there was has ended."""
        patience.hold(self._beginning, self.name)
        try:
            if self._closed:
                raise ToolError(f"{self.name} is closed")
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._connection is not None:
                self._connection.close()
            begun = Process(self._server) if self._server.command else StreamableHttp(self._server)
            self._connection = begun
            try:
                self._begin(begun, patience)
            except BaseException:
                self._connection = None
                begun.close()
                raise
            return begun
        finally:
            self._beginning.release()

    def _begin(self, connection: Process | StreamableHttp, patience: Patience) -> None:
        """Agree on a revision of the protocol."""
        self.version = ""
        offer = {"protocolVersion": _HANDSHAKES[0], "capabilities": {}, "clientInfo": _client()}
        try:
            found = self._exchange(connection, "initialize", offer, patience)
        except Refusal as refusal:
            self._begin_stateless(connection, patience, refusal)
            return
        version = found.get("protocolVersion")
        if version not in _HANDSHAKES:
            raise ToolError(f"{self.name} speaks revision {version!r:.40} of MCP; known are {', '.join(_HANDSHAKES)}")
        self.version = str(version)
        told = notification("notifications/initialized", {})
        if isinstance(connection, Process):
            connection.notify(told, patience)
        else:
            connection.notify(told, patience, {"mcp-protocol-version": self.version})

    def _begin_stateless(self, connection: Process | StreamableHttp, patience: Patience, refusal: Refusal) -> None:
        """A server that refuses a handshake may be one that needs none."""
        self.version = _STATELESS
        try:
            found = self._exchange(connection, "server/discover", {}, patience)
        except Refusal:
            raise refusal from None
        versions = found.get("supportedVersions")
        if not isinstance(versions, list) or _STATELESS not in versions:
            raise ToolError(f"{self.name} speaks revisions {versions!r:.80} of MCP; known is {_STATELESS}")


def _client() -> dict[str, str]:
    from importlib.metadata import version  # reads a folder full of files

    return {"name": "gadfly", "version": version("gadfly")}


def _meta() -> dict[str, Any]:
    return {
        f"{_META}/protocolVersion": _STATELESS,
        f"{_META}/clientInfo": _client(),
        f"{_META}/clientCapabilities": {},
    }


def _header(name: str) -> str:
    """A name as a header: as it is, or in base64 if it would not arrive so."""
    if name.isascii() and name.isprintable() and name == name.strip() and not name.startswith("=?base64?"):
        return name
    return f"=?base64?{base64.b64encode(name.encode('utf-8', 'replace')).decode()}?="


def _read_tool(item: object) -> ServerTool | str:
    """A tool out of a list, or what is wrong with it."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return f"a tool without a name is left out: {item!r:.60}"
    name, schema = item["name"], item.get("inputSchema", {"type": "object"})
    if not 0 < len(name) <= 128 or not name.isprintable():
        return f"the name {name!r:.60} is no name for a tool, so it is left out"
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        return f"the tool {name} is left out: what it takes is no object but {schema!r:.60}"
    if not isinstance(schema.get("properties", {}), dict):
        return f"the tool {name} is left out: its properties are {schema['properties']!r:.60}"
    described = item.get("description")
    text = harmless(described) if isinstance(described, str) else ""
    try:
        parameters = with_texts(schema, harmless)  # its texts reach the model, too
        length = len(json.dumps(parameters))
    except (ValueError, RecursionError):
        length = _SCHEMA_LIMIT + 1
    if length > _SCHEMA_LIMIT:
        return f"the tool {name} is left out: its schema has more than {_SCHEMA_LIMIT} characters"
    return ServerTool(name, cut(text, _DESCRIPTION_LIMIT), parameters)
