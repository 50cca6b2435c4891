"""Search the web through a SearXNG that the user runs or trusts. There is no address by default.

Source: SearXNG, "Search API".
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gadfly.chat.tools.json_rpc import parsed
from gadfly.chat.tools.patience import Patience
from gadfly.chat.tools.result import ToolResult
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.source import ServerTool
from gadfly.chat.tools.streamable_http import bounded, opened
from gadfly.errors import ToolError

__all__ = ["SearxngSource"]

_MOST = 8  # results
_SNIPPET = 500  # characters of each
_QUERY = 500

SEARCH = ServerTool(
    "search",
    "Search the web. Gives back titles, addresses and a few lines of what was found.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "what to look for, in a few words"}},
        "required": ["query"],
        "additionalProperties": False,
    },
)


class SearxngSource:
    """One tool, `search`, through the instance that `server` names."""

    def __init__(self, server: ToolServer) -> None:
        self.name = server.name
        self._url = f"{server.searxng.rstrip('/')}/search"

    def tools(self, patience: Patience) -> tuple[Sequence[ServerTool], Sequence[str]]:  # noqa: ARG002
        return (SEARCH,), ()

    def call(self, tool: str, arguments: Mapping[str, Any], patience: Patience) -> ToolResult:
        query = arguments.get("query")
        if tool != SEARCH.name or not isinstance(query, str) or not 0 < len(query.strip()) <= _QUERY:
            raise ToolError(f'{self.name} takes {{"query": "…"}} with 1 to {_QUERY} characters')
        return patience.outcome(lambda: self._search(query, patience), self.name)

    def close(self) -> None:
        """Nothing stays open."""

    def _search(self, query: str, patience: Patience) -> ToolResult:
        address = f"{self._url}?{urlencode({'q': query, 'format': 'json'}, errors='replace')}"
        with opened("GET", address, {"accept": "application/json"}, patience, self.name) as response:
            if response.status_code == 403:
                raise ToolError(
                    f"{self.name} does not answer in JSON (403); add json to search.formats in its settings"
                )
            if response.status_code != 200:
                raise ToolError(f"{self.name} answers {response.status_code} {response.reason_phrase:.100}")
            message = parsed(bounded(response, patience, self.name))
        results = message.get("results") if message is not None else None
        if not isinstance(results, list):
            raise ToolError(f"{self.name} sent no list of results; is there a SearXNG at this address?")
        found = [text for text in map(_text, results) if text][:_MOST]
        return ToolResult("\n\n".join(found) or f"Nothing was found for {query!r}.")


def _text(result: object) -> str:
    if not isinstance(result, dict) or not isinstance(result.get("url"), str):
        return ""
    lines = (result.get("title"), result["url"], result.get("content"))
    return "\n".join(" ".join(line.split())[:_SNIPPET] for line in lines if isinstance(line, str) and line)
