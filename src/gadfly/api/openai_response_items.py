"""Items of OpenAI's responses while they are being written: what is said, what is thought, what is to be called.

Each begins, goes on with the events of an answer that are its own, and ends with events that repeat the whole of it.
`place` says which item it is, and every event about it repeats that.
"""

from typing import Any

from gadfly.api.openai_chat import logprob_objects
from gadfly.conversation import AnswerEvent, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta, ToolCallStart

__all__ = ["CallItem", "Event", "Item", "ReasoningItem", "TextItem"]

Event = dict[str, Any]


class TextItem:
    """What the model says."""

    prefix = "msg"

    def __init__(self, place: dict[str, Any]) -> None:
        self._place = place
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def begin(self) -> list[Event]:
        return [_added(self._place, self._item([], "in_progress")), _part_event("added", self._place, self._part())]

    def more(self, event: AnswerEvent) -> list[Event]:
        if not isinstance(event, TextDelta) or not (event.text or event.logprobs):
            return []
        self._text.append(event.text)
        self._logprobs += event.logprobs
        delta = {"delta": event.text, "logprobs": logprob_objects(event.logprobs)}
        return [{"type": "response.output_text.delta", **self._place, "content_index": 0, **delta}]

    def end(self, status: str) -> tuple[list[Event], dict[str, Any]]:
        part, item = self._part(), self._item([self._part()], status)
        done = {"text": part["text"], "logprobs": part["logprobs"]}
        return [
            {"type": "response.output_text.done", **self._place, "content_index": 0, **done},
            _part_event("done", self._place, part),
            _done(self._place, item),
        ], item

    def _part(self) -> dict[str, Any]:
        logprobs = logprob_objects(self._logprobs)
        return {"type": "output_text", "text": "".join(self._text), "annotations": [], "logprobs": logprobs}

    def _item(self, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
        found = {"type": "message", "id": self._place["item_id"], "role": "assistant"}
        return {**found, "status": status, "content": content}


class ReasoningItem:
    """What the model thinks."""

    prefix = "rs"

    def __init__(self, place: dict[str, Any]) -> None:
        self._place = place
        self._text: list[str] = []

    def begin(self) -> list[Event]:
        return [_added(self._place, self._item([], "in_progress")), _part_event("added", self._place, self._part())]

    def more(self, event: AnswerEvent) -> list[Event]:
        if not isinstance(event, ReasoningDelta) or not event.text:
            return []
        self._text.append(event.text)
        return [{"type": "response.reasoning_text.delta", **self._place, "content_index": 0, "delta": event.text}]

    def end(self, status: str) -> tuple[list[Event], dict[str, Any]]:
        part, item = self._part(), self._item([self._part()], status)
        return [
            {"type": "response.reasoning_text.done", **self._place, "content_index": 0, "text": part["text"]},
            _part_event("done", self._place, part),
            _done(self._place, item),
        ], item

    def _part(self) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": "".join(self._text)}

    def _item(self, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
        found = {"type": "reasoning", "id": self._place["item_id"], "summary": []}
        return {**found, "status": status, "content": content}


class CallItem:
    """A call of a tool, whose arguments are being written."""

    def __init__(self, place: dict[str, Any], start: ToolCallStart) -> None:
        self._place = place
        self._start = start
        self._arguments: list[str] = []

    def begin(self) -> list[Event]:
        return [_added(self._place, self._item("in_progress"))]

    def more(self, event: AnswerEvent) -> list[Event]:
        if not isinstance(event, ToolCallDelta) or not event.arguments:
            return []
        if event.index != self._start.index:
            raise ValueError(f"arguments for tool call {event.index}, which is not open")
        self._arguments.append(event.arguments)
        return [{"type": "response.function_call_arguments.delta", **self._place, "delta": event.arguments}]

    def end(self, status: str) -> tuple[list[Event], dict[str, Any]]:
        item = self._item(status)
        done = {"name": self._start.name, "arguments": item["arguments"]}
        return [
            {"type": "response.function_call_arguments.done", **self._place, **done},
            _done(self._place, item),
        ], item

    def _item(self, status: str) -> dict[str, Any]:
        return {
            "type": "function_call",
            "id": self._place["item_id"],
            "call_id": self._start.id,
            "name": self._start.name,
            "arguments": "".join(self._arguments),
            "status": status,
        }


Item = TextItem | ReasoningItem | CallItem


def _added(place: dict[str, Any], item: dict[str, Any]) -> Event:
    return {"type": "response.output_item.added", "output_index": place["output_index"], "item": item}


def _done(place: dict[str, Any], item: dict[str, Any]) -> Event:
    return {"type": "response.output_item.done", "output_index": place["output_index"], "item": item}


def _part_event(what: str, place: dict[str, Any], part: dict[str, Any]) -> Event:
    return {"type": f"response.content_part.{what}", **place, "content_index": 0, "part": part}
