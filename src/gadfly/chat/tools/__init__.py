"""Tools in a conversation: where they come from, what a user allows, and how results get back to the model.

    file ──► toolbox ──► mcp ──► process | streamable_http      servers that speak the Model Context Protocol
                 │   └─► searxng                                a web search
                 └─► exchange                                   rounds of calls, each with consent; no I/O

What a conversation needs is named here; files and servers have modules of their own, for those who open some.
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
from gadfly.chat.tools.offer import Offer, OfferedTool
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.result import RESULT_LIMIT, ToolResult

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
    "ToolResult",
    "ToolStopped",
]
