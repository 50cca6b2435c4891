"""What OpenAI's responses send back, at once or as a stream, whose events are counted by `sequence_number`:

    response.created ► response.in_progress
    ► (output_item.added ► content_part.added ► output_text.delta* ► output_text.done ► content_part.done
       ► output_item.done)*         the same with reasoning_text; calls have function_call_arguments and no parts
    ► response.completed | response.incomplete | response.failed

A body is what the last event of a stream carries, so there is one writer for both. Ids of items derive from the id of
the response. What is asked: `openai_responses_request`.
"""

from typing import Any

from gadfly.api.answer import Answer, tally
from gadfly.api.errors import Failure
from gadfly.api.openai_chat import dropped
from gadfly.api.openai_response_items import CallItem, Event, Item, ReasoningItem, TextItem
from gadfly.api.openai_responses_request import ResponseCall
from gadfly.api.stamp import Stamp
from gadfly.conversation import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallStart,
    ToolChoice,
)

__all__ = ["ResponseStream", "response"]


def response(answer: Answer, stamp: Stamp, call: ResponseCall) -> dict[str, Any]:
    """The body for a finished answer."""
    stream = ResponseStream(stamp, call)
    sent = [event for each in answer.events() for event in stream.events(each)]
    body: dict[str, Any] = sent[-1]["response"]
    return body


class ResponseStream:
    """Events of the wire for those of an answer."""

    def __init__(self, stamp: Stamp, call: ResponseCall) -> None:
        self._stamp = stamp
        self._call = call
        self._sent = 0
        self._output: list[dict[str, Any]] = []  # items that are done
        self._item: Item | None = None  # the one that is open

    def events(self, event: AnswerEvent, _choice: int = 0) -> list[Event]:
        """What to send for the next event of the answer."""
        sent = self._begin()
        match event:
            case TextDelta() if event.text or event.logprobs:
                sent += self._enter(TextItem) if not isinstance(self._item, TextItem) else []
            case ReasoningDelta() if event.text:
                sent += self._enter(ReasoningItem) if not isinstance(self._item, ReasoningItem) else []
            case ToolCallStart():
                sent += self._leave("completed")
                self._item = CallItem(self._place("fc"), event)
                sent += self._item.begin()
            case Finished():
                sent += self._leave("completed" if event.reason in ("stop", "tool_calls") else "incomplete")
                sent.append(self._end(event))
        if self._item is not None and not isinstance(event, ToolCallStart):
            sent += self._item.more(event)
        return [self._numbered(each) for each in sent]

    def failed(self, failure: Failure) -> list[Event]:
        """What to send when the answer ends in an error."""
        codes = {"too_many": "rate_limit_exceeded", "invalid": "invalid_prompt"}
        error = {"code": codes.get(failure.kind, "server_error"), "message": failure.message}
        body = {**self._body("failed"), "error": error}
        return [self._numbered(each) for each in [*self._begin(), {"type": "response.failed", "response": body}]]

    def _begin(self) -> list[Event]:
        if self._sent:
            return []
        body = self._body("in_progress")
        return [{"type": "response.created", "response": body}, {"type": "response.in_progress", "response": body}]

    def _numbered(self, event: Event) -> Event:
        self._sent += 1
        return {**event, "sequence_number": self._sent - 1}

    def _place(self, kind: str) -> dict[str, Any]:
        index = len(self._output)
        return {"item_id": f"{kind}_{self._stamp.id.removeprefix('resp_')}_{index}", "output_index": index}

    def _enter(self, kind: "type[TextItem | ReasoningItem]") -> list[Event]:
        left = self._leave("completed")
        self._item = kind(self._place(kind.prefix))
        return left + self._item.begin()

    def _leave(self, status: str) -> list[Event]:
        if self._item is None:
            return []
        events, item = self._item.end(status)
        self._output.append(item)
        self._item = None
        return events

    def _end(self, end: Finished) -> Event:
        if end.reason in ("stop", "tool_calls"):
            return {"type": "response.completed", "response": self._body("completed", end)}
        reason = "max_output_tokens" if end.reason == "length" else None
        body = {**self._body("incomplete", end), "incomplete_details": {"reason": reason}}
        return {"type": "response.incomplete", "response": body}

    def _body(self, status: str, end: Finished | None = None) -> dict[str, Any]:
        call, request = self._call, self._call.request
        return {
            "id": self._stamp.id,
            "object": "response",
            "created_at": int(self._stamp.created),
            "model": self._stamp.model,
            "system_fingerprint": self._stamp.fingerprint,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": call.instructions,
            "max_output_tokens": request.max_tokens,
            "metadata": dict(call.metadata or {}),
            "output": list(self._output),
            "parallel_tool_calls": request.tool_choice.parallel,
            "previous_response_id": call.previous,
            "store": call.store,
            "temperature": request.sampling and request.sampling.temperature,
            "text": {"format": call.format or {"type": "text"}},
            "tool_choice": _choice(request.tool_choice),
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                    "strict": tool.strict,
                }
                for tool in request.tools
            ],
            "top_p": request.sampling and request.sampling.top_p,
            "truncation": "auto" if request.truncate else "disabled",
            "usage": end and _usage(end),
            **dropped([end] if end else []),
        }


def _choice(choice: ToolChoice) -> str | dict[str, str]:
    return choice.mode if choice.name is None else {"type": "function", "name": choice.name}


def _usage(end: Finished) -> dict[str, Any]:
    spent = tally([end])
    return {
        "input_tokens": spent.prompt,
        "input_tokens_details": {"cached_tokens": spent.cached, "cache_write_tokens": 0},
        "output_tokens": spent.answer,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.prompt + spent.answer,
    }
