"""What Anthropic's messages send back, at once or as a stream:

    message_start ► (content_block_start ► content_block_delta* ► content_block_stop)* ► message_delta ► message_stop

Each event names itself in `type`, which is the name of the server-sent event, too. Blocks follow one another: what a
model thinks, says and wants to have called. Tokens found in the cache are not counted among `input_tokens`, but beside
them, as Anthropic does. What is asked: `anthropic_request`.
"""

from typing import Any

from gadfly.api.answer import Answer
from gadfly.api.errors import Failure, anthropic_error
from gadfly.api.openai_chat import dropped
from gadfly.api.stamp import Stamp
from gadfly.api.tools import arguments_object
from gadfly.completion import Usage
from gadfly.conversation import AnswerEvent, Finished, ReasoningDelta, TextDelta, ToolCallDelta, ToolCallStart

__all__ = ["PING", "MessageStream", "message", "token_count"]

PING = {"type": "ping"}  # may be sent at any time
UNKNOWN = Usage(0, 0, 0, 0.0, 0.0)


def message(answer: Answer, stamp: Stamp) -> dict[str, Any]:
    """The body for a finished answer."""
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": ""})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls:
        made = {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_object(call.arguments)}
        content.append(made)
    end = answer.end
    body = _message(stamp, content, _usage(end.usage, end.usage.completion_tokens))
    return {**body, "stop_reason": _stop_reason(end), "stop_sequence": end.stop, **dropped([end])}


def token_count(tokens: int) -> dict[str, int]:
    """The body of count_tokens."""
    return {"input_tokens": tokens}


class MessageStream:
    """Events of the wire for those of an answer. `usage` is what the first says, of the prompt."""

    def __init__(self, stamp: Stamp, usage: Usage = UNKNOWN, request_id: str | None = None) -> None:
        self._stamp = stamp
        self._usage = usage
        self._request_id = request_id
        self._started = False
        self._index = -1  # of the latest block
        self._open: type[AnswerEvent] | None = None  # what the open block takes
        self._call = -1  # the latest call of a tool

    def events(self, event: AnswerEvent, _choice: int = 0) -> list[dict[str, Any]]:
        """What to send for the next event of the answer."""
        sent = [] if self._started else [self._start()]
        match event:
            case TextDelta() if event.text:
                sent += self._enter(TextDelta, {"type": "text", "text": ""})
                sent.append(self._delta({"type": "text_delta", "text": event.text}))
            case ReasoningDelta() if event.text:
                sent += self._enter(ReasoningDelta, {"type": "thinking", "thinking": "", "signature": ""})
                sent.append(self._delta({"type": "thinking_delta", "thinking": event.text}))
            case ToolCallStart():
                sent += self._leave()
                self._call = event.index
                block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
                sent += self._enter(ToolCallDelta, block)
            case ToolCallDelta() if event.arguments:
                if self._open is not ToolCallDelta or self._call != event.index:
                    raise ValueError(f"arguments for tool call {event.index}, which is not open")
                sent.append(self._delta({"type": "input_json_delta", "partial_json": event.arguments}))
            case Finished():
                sent += self._leave()
                sent += self._end(event)
        return sent

    def failed(self, failure: Failure) -> list[dict[str, Any]]:
        """What to send when the answer ends in an error."""
        return [anthropic_error(failure, self._request_id)]

    def _start(self) -> dict[str, Any]:
        self._started = True
        return {"type": "message_start", "message": _message(self._stamp, [], _usage(self._usage, 0))}

    def _enter(self, kind: type[AnswerEvent], block: dict[str, Any]) -> list[dict[str, Any]]:
        """Close the block that takes something else, and open one, unless it is open already."""
        if self._open is kind:
            return []
        left = self._leave()
        self._index += 1
        self._open = kind
        return [*left, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _leave(self) -> list[dict[str, Any]]:
        if self._open is None:
            return []
        self._open = None
        return [{"type": "content_block_stop", "index": self._index}]

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _end(self, end: Finished) -> list[dict[str, Any]]:
        delta = {"stop_reason": _stop_reason(end), "stop_sequence": end.stop}
        usage = _usage(end.usage, end.usage.completion_tokens)
        return [{"type": "message_delta", "delta": delta, "usage": usage, **dropped([end])}, {"type": "message_stop"}]


def _message(stamp: Stamp, content: list[dict[str, Any]], usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": stamp.id,
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(usage: Usage, answer: int) -> dict[str, int]:
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": answer,
    }


def _stop_reason(end: Finished) -> str:
    """An answer that somebody cancelled is one that was cut short."""
    match end.reason:
        case "tool_calls":
            return "tool_use"
        case "stop":
            return "end_turn" if end.stop is None else "stop_sequence"
    return "max_tokens"
