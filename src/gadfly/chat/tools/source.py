"""Where tools come from: what an MCP server and our own search have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gadfly.chat.tools.patience import Patience
from gadfly.chat.tools.result import ToolResult

__all__ = ["ServerTool", "Source"]


@dataclass(frozen=True)
class ServerTool:
    """A tool as its source describes it; `parameters` is the JSON schema of an object."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Safe to be used from many threads. Whatever goes wrong is a ToolError."""

    def tools(self, patience: Patience) -> tuple[Sequence[ServerTool], Sequence[str]]:
        """The tools there are, and what is wrong with those that are left out."""

    def call(self, tool: str, arguments: Mapping[str, Any], patience: Patience) -> ToolResult:
        """What came of it."""

    def close(self) -> None:
        """Stop, also what is under way."""
