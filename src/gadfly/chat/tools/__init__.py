"""Tools in a conversation: where they come from, what a user allows, and how results get back to the model.

    file ──► toolbox ──► mcp ──► process | streamable_http      servers that speak the Model Context Protocol
                 │   └─► searxng                                a web search
                 └─► exchange                                   rounds of calls, each with consent; no I/O

Nothing is on by itself. All that comes from a server is untrusted: bounded in size and time, and made `harmless`.
"""

from gadfly.chat.tools.exchange import (
    CONSENTS,
    AskModel,
    AskUser,
    CallTool,
    Consent,
    Exchange,
    Grants,
    PlannedCall,
    Step,
)
from gadfly.chat.tools.file import ToolFile, ToolSettings
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import RESULT_LIMIT, ToolResult
from gadfly.chat.tools.server import ToolServer, read_server
from gadfly.chat.tools.toolbox import Offer, OfferedTool, Toolbox, open_source

__all__ = [
    "CONSENTS",
    "RESULT_LIMIT",
    "AskModel",
    "AskUser",
    "CallTool",
    "Consent",
    "Exchange",
    "Grants",
    "Offer",
    "OfferedTool",
    "Patience",
    "PlannedCall",
    "Step",
    "ToolFile",
    "ToolResult",
    "ToolServer",
    "ToolSettings",
    "ToolStopped",
    "Toolbox",
    "open_source",
    "read_server",
]
