"""Conversations in which every call of a tool has its result, and every result its call, as templates want them."""

from collections.abc import Iterable

from gadfly.conversation import Message, ToolCall

__all__ = ["STOPPED", "settled", "told"]

STOPPED = "stopped before there was a result"


def settled(messages: Iterable[Message]) -> list[Message]:
    """What an interruption or a deleted message has left behind is mended.

    Calls without a result are told to have been stopped, and results of nothing are left out.
    """
    made: list[Message] = []
    waiting: list[ToolCall] = []
    for message in messages:
        if message.role == "tool":
            answered = [call for call in waiting if call.id == message.tool_call_id]
            if answered:
                made.append(message)
                waiting.remove(answered[0])
            continue
        made += [told(call, STOPPED) for call in waiting]
        waiting = list(message.tool_calls)
        made.append(message)
    return [*made, *(told(call, STOPPED) for call in waiting)]


def told(call: ToolCall, text: str) -> Message:
    """The result of a call."""
    return Message("tool", text, tool_call_id=call.id, name=call.name)
