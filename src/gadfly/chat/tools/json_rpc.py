"""The messages that an MCP client and a server exchange: JSON-RPC 2.0, read from somebody who may send anything.

Source: JSON-RPC 2.0 Specification; Model Context Protocol, "Base Protocol".
"""

import json
from collections.abc import Mapping
from typing import Any

from gadfly.errors import ToolError

__all__ = [
    "MESSAGE_LIMIT",
    "METHOD_NOT_FOUND",
    "Refusal",
    "answers",
    "notification",
    "parsed",
    "reply",
    "request",
    "result",
]

MESSAGE_LIMIT = 4_000_000  # bytes
METHOD_NOT_FOUND = -32601

Json = Mapping[str, Any]


class Refusal(ToolError):
    """The other side refuses; `code` is JSON-RPC's."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def request(number: int, method: str, params: Json) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def notification(method: str, params: Json) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def parsed(data: bytes | str) -> Json | None:
    """The message in a line; None if it is none."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def answers(message: Json, number: int) -> bool:
    """Whether this is the response to request `number`."""
    return type(message.get("id")) is int and message["id"] == number and ("result" in message or "error" in message)


def reply(message: Json) -> dict[str, Any] | None:
    """What a request of the server gets, as we offer it nothing but to be there; None if it was no request."""
    number = message.get("id")
    if not isinstance(message.get("method"), str) or type(number) not in (int, str):
        return None
    if message["method"] == "ping":
        return {"jsonrpc": "2.0", "id": number, "result": {}}
    error = {"code": METHOD_NOT_FOUND, "message": "this client does not offer that"}
    return {"jsonrpc": "2.0", "id": number, "error": error}


def result(message: Json, who: str) -> Json:
    """The result of a response. Raises Refusal if it is an error, ToolError if it is neither."""
    if "error" in message:
        error = message["error"] if isinstance(message["error"], dict) else {}
        code = error.get("code")
        text = str(error.get("message") or message["error"])[:2000]
        raise Refusal(f"{who} refuses: {text}", code if type(code) is int else 0)
    found = message.get("result")
    if not isinstance(found, dict):
        raise ToolError(f"{who} sent a result that is no object")
    return found
