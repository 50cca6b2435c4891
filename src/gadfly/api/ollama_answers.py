"""What Ollama's /api/chat and /api/generate send back: one object, or one a line while the answer is being written.

The last one says `done`, why, and how long it took, in nanoseconds. A call of a tool is sent when it is complete, for
its arguments are an object here. What is asked: `ollama_request`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from gadfly.api.answer import Answer
from gadfly.api.errors import Failure, ollama_error
from gadfly.api.openai_chat import dropped, logprob_objects
from gadfly.api.stamp import Stamp
from gadfly.api.tools import arguments_object
from gadfly.conversation import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)

__all__ = ["OllamaStream", "loaded", "nanoseconds", "ollama_answer", "timestamp"]

Kind = Literal["chat", "generate"]


def ollama_answer(answer: Answer, stamp: Stamp, kind: Kind, load_seconds: float = 0.0) -> dict[str, Any]:
    """The object for a finished answer, where the client does not want a stream."""
    parts: dict[str, Any] = {"content": answer.text}
    if answer.reasoning:
        parts["thinking"] = answer.reasoning
    if answer.tool_calls:
        parts["tool_calls"] = _calls(answer.tool_calls)
    logprobs = {"logprobs": logprob_objects(answer.logprobs)} if answer.logprobs else {}
    return {**_head(stamp), **_body(kind, parts), **logprobs, **_end(answer.end, load_seconds)}


def loaded(stamp: Stamp, kind: Kind, reason: Literal["load", "unload"]) -> dict[str, Any]:
    """The object for a call that wanted a model to be loaded, or to go."""
    return {**_head(stamp), **_body(kind, {"content": ""}), "done": True, "done_reason": reason}


class OllamaStream:
    """Lines for the events of an answer; `load_seconds` is how long it had to wait for its model."""

    def __init__(self, stamp: Stamp, kind: Kind, load_seconds: float = 0.0) -> None:
        self._stamp = stamp
        self._kind = kind
        self._load_seconds = load_seconds
        self._calls = Answer()  # that are not sent yet: only the latest can be

    def events(self, event: AnswerEvent, _choice: int = 0) -> list[dict[str, Any]]:
        """What to send for the next event of the answer."""
        match event:
            case TextDelta() if event.text or event.logprobs:
                logprobs = {"logprobs": logprob_objects(event.logprobs)} if event.logprobs else {}
                return [self._line({"content": event.text}, **logprobs)]
            case ReasoningDelta() if event.text:
                return [self._line({"content": "", "thinking": event.text})]
            case ToolCallStart():
                complete = self._complete()
                self._calls.add(event)
                return complete
            case ToolCallDelta():
                self._calls.add(event)
            case Finished():
                last = {**_head(self._stamp), **_body(self._kind, {"content": ""}), **_end(event, self._load_seconds)}
                return [*self._complete(), last]
        return []

    def failed(self, failure: Failure) -> list[dict[str, Any]]:
        """What to send when the answer ends in an error."""
        return [ollama_error(failure)]

    def _line(self, parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**_head(self._stamp), **_body(self._kind, parts), **more, "done": False}

    def _complete(self) -> list[dict[str, Any]]:
        """The latest call, which no more arguments will come for."""
        calls = _calls(self._calls.tool_calls)[-1:]
        return [self._line({"content": "", "tool_calls": calls})] if calls else []


def timestamp(seconds: float) -> str:
    """Seconds since 1970, as Go writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _head(stamp: Stamp) -> dict[str, Any]:
    return {"model": stamp.model, "created_at": timestamp(stamp.created)}


def _body(kind: Kind, parts: dict[str, Any]) -> dict[str, Any]:
    """What chat sends as a message stands beside the rest in generate, under another name."""
    if kind == "chat":
        return {"message": {"role": "assistant", **parts}}
    return {"response": parts["content"], **{name: part for name, part in parts.items() if name != "content"}}


def _calls(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "function": {"index": index, "name": call.name, "arguments": arguments_object(call.arguments)},
        }
        for index, call in enumerate(calls)
    ]


def _end(end: Finished, load_seconds: float) -> dict[str, Any]:
    usage = end.usage
    return {
        "done": True,
        "done_reason": "stop" if end.reason in ("stop", "tool_calls") else "length",
        "total_duration": nanoseconds(load_seconds + usage.prefill_seconds + usage.decode_seconds),
        "load_duration": nanoseconds(load_seconds),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": nanoseconds(usage.prefill_seconds),
        "eval_count": usage.completion_tokens,
        "eval_duration": nanoseconds(usage.decode_seconds),
        **dropped([end]),
    }
