"""What the dialects agree on about tools: names, limits, and that a choice has to be among them."""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from gadfly.api.fields import Fields
from gadfly.conversation import Tool, ToolChoice
from gadfly.errors import RequestError

__all__ = ["TOOL_LIMIT", "arguments_object", "check_choice", "check_tools", "tool_name"]

TOOL_LIMIT = 128
_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")


def tool_name(fields: Fields) -> str:
    """The `name` of a tool, in characters that every template and grammar takes."""
    name = fields.need_text("name")
    if not _NAME.fullmatch(name):
        raise fields.wrong("name", "1 to 128 of the characters A-Z a-z 0-9 _ . : / -")
    return name


def check_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Refuse two tools of one name."""
    names = [tool.name for tool in tools]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RequestError(f"tools has two with the name {name!r}; a name has to be its own", "tools")
    return tuple(tools)


def check_choice(choice: ToolChoice, tools: Sequence[Tool], key: str = "tool_choice") -> ToolChoice:
    """Refuse a choice, which is called `key` there, that no answer could obey."""
    if choice.mode == "required" and not tools:
        raise RequestError(f"{key} demands a call, but there are no tools", key)
    if choice.name is not None and choice.name not in {tool.name for tool in tools}:
        raise RequestError(f"{key} names {choice.name!r}, which is not among the tools", key)
    return choice


def arguments_object(written: str) -> dict[str, Any]:
    """Arguments for dialects that send an object and no text. What is none is sent under a key that says so.

    The key is the one that Anthropic recommends for arguments that ended before their time.
    """
    try:
        found = json.loads(written or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"INVALID_JSON": written}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}")
