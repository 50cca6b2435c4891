"""What a model may call in a chat: values. Where it comes from is `toolbox`'s affair."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gadfly.chat.tools.patience import Patience
from gadfly.chat.tools.result import ToolResult
from gadfly.chat.tools.source import ServerTool, Source
from gadfly.conversation import Tool

__all__ = ["Offer", "OfferedTool"]


@dataclass(frozen=True)
class OfferedTool:
    """A tool of a server, as a model sees it (`tool`) and as its server knows it."""

    server: str
    tool: ServerTool
    shown: Tool
    source: Source
    seconds: float

    def call(self, arguments: Mapping[str, Any], patience: Patience) -> ToolResult:
        """What came of it. Raises ToolStopped if it was cancelled, ToolError if it went wrong."""
        limited = Patience(min(self.seconds, patience.left), patience.cancelled)
        return self.source.call(self.tool.name, arguments, limited)


@dataclass(frozen=True)
class Offer:
    """What a model may call, and in a sentence each, what it cannot and why."""

    tools: tuple[OfferedTool, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[Tool, ...]:
        return tuple(one.shown for one in self.tools)

    def find(self, name: str) -> OfferedTool | None:
        """The tool that a model calls by this name."""
        return next((one for one in self.tools if one.shown.name == name), None)
