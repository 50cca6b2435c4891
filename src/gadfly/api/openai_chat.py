"""What OpenAI's chat completions send back, at once or as a stream:

    role ► (reasoning | content | tool call)* ► finish_reason       for each choice, interleaved as they come
    ► usage, with `choices: []`, where the client asked for it; in every chunk so far, where it asked for that

`[DONE]` belongs to the transport. `reasoning_content` is how engines of open models send what a model thinks, and
`dropped_messages` tells those who allowed truncation that there was one. What is asked: `openai_chat_request`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gadfly.api.answer import Answer, Tally, tally
from gadfly.api.errors import Failure, openai_error
from gadfly.api.openai_functions import in_old_words
from gadfly.api.stamp import Stamp
from gadfly.conversation import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
)

__all__ = [
    "LEAST_LOGPROB",
    "ChatStream",
    "Chunks",
    "chat_completion",
    "dropped",
    "finish_reason",
    "head",
    "logprob_objects",
    "usage_object",
]

LEAST_LOGPROB = -9999.0  # what OpenAI writes for a token that cannot be


def chat_completion(answers: Sequence[Answer], stamp: Stamp, old_functions: bool = False) -> dict[str, Any]:
    """The body for the finished answers to one request, a choice each."""
    ends = [answer.end for answer in answers]
    body = {
        **head("chat.completion", stamp),
        "choices": [
            {
                "index": index,
                "message": _message(answer),
                "logprobs": _logprobs(answer.logprobs),
                "finish_reason": finish_reason(answer.end),
            }
            for index, answer in enumerate(answers)
        ],
        "usage": usage_object(tally(ends, len(ends))),
        **dropped(ends),
    }
    return in_old_words(body) if old_functions else body


class ChatStream:
    """Chunks for the events of `n` answers to one request. With `so_far`, each says what they have taken by then."""

    def __init__(
        self,
        stamp: Stamp,
        n: int = 1,
        include_usage: bool = False,
        old_functions: bool = False,
        so_far: Callable[[], Tally] | None = None,
    ) -> None:
        self._old = old_functions
        self._chunks = Chunks("chat.completion.chunk", stamp, n, n, include_usage, so_far)
        self._started = [False] * n

    def events(self, event: AnswerEvent, choice: int = 0) -> list[dict[str, Any]]:
        """What to send for the next event of one of the answers."""
        chunks = []
        if not self._started[choice]:
            self._started[choice] = True
            chunks.append(self._chunk(choice, {"role": "assistant", "content": "", "refusal": None}))
        match event:
            case TextDelta() if event.text or event.logprobs:
                chunks.append(self._chunk(choice, {"content": event.text}, event.logprobs))
            case ReasoningDelta() if event.text:
                chunks.append(self._chunk(choice, {"reasoning_content": event.text}))
            case ToolCallStart():
                function = {"name": event.name, "arguments": ""}
                call = {"index": event.index, "id": event.id, "type": "function", "function": function}
                chunks.append(self._chunk(choice, {"tool_calls": [call]}))
            case ToolCallDelta() if event.arguments:
                more = {"index": event.index, "function": {"arguments": event.arguments}}
                chunks.append(self._chunk(choice, {"tool_calls": [more]}))
            case Finished():
                chunks += self._chunks.last(choice, {"delta": {}}, None, event)
        return [in_old_words(chunk) for chunk in chunks] if self._old else chunks

    def failed(self, failure: Failure) -> list[dict[str, Any]]:
        """What to send when the answers end in an error."""
        return [openai_error(failure)]

    def _chunk(self, choice: int, delta: dict[str, Any], logprobs: Sequence[TokenLogprob] = ()) -> dict[str, Any]:
        return self._chunks.one(choice, {"delta": delta}, _logprobs(logprobs))


class Chunks:
    """The frame around pieces of so many `answers`, `n` to each prompt; behind the last of all, what they took."""

    def __init__(
        self,
        kind: str,
        stamp: Stamp,
        answers: int,
        n: int,
        include_usage: bool,
        so_far: Callable[[], Tally] | None = None,
    ) -> None:
        self._head = head(kind, stamp)
        self._n = n
        self._include_usage = include_usage
        self._so_far = so_far
        self._ends: list[Finished | None] = [None] * answers

    def one(
        self, choice: int, piece: dict[str, Any], logprobs: dict[str, Any] | None, end: Finished | None = None
    ) -> dict[str, Any]:
        """A chunk with a piece of one answer."""
        made = {"index": choice, **piece, "logprobs": logprobs, "finish_reason": end and finish_reason(end)}
        usage: dict[str, Any] = {"usage": None} if self._include_usage else {}
        if self._so_far:
            usage = {"usage": usage_object(self._so_far())}
        return {**self._head, "choices": [made], **usage, **dropped([end] if end else [])}

    def last(
        self, choice: int, piece: dict[str, Any], logprobs: dict[str, Any] | None, end: Finished
    ) -> list[dict[str, Any]]:
        """The chunk that ends an answer, and the usage once all have ended."""
        self._ends[choice] = end
        chunks = [self.one(choice, piece, logprobs, end)]
        ends = [each for each in self._ends if each is not None]
        if self._include_usage and len(ends) == len(self._ends):
            chunks.append({**self._head, "choices": [], "usage": usage_object(tally(ends, self._n))})
        return chunks


def head(kind: str, stamp: Stamp) -> dict[str, Any]:
    """How every body and every chunk begins."""
    return {
        "id": stamp.id,
        "object": kind,
        "created": int(stamp.created),
        "model": stamp.model,
        "system_fingerprint": stamp.fingerprint,
    }


def finish_reason(end: Finished) -> str:
    """An answer that somebody cancelled is one that was cut short."""
    return "length" if end.reason == "cancelled" else end.reason


def usage_object(spent: Tally) -> dict[str, Any]:
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.answer,
        "total_tokens": spent.prompt + spent.answer,
        "prompt_tokens_details": {"cached_tokens": spent.cached},
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning},
    }


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["content"] = answer.text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
    return message


def logprob_objects(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Tokens with how likely they were, and what was as likely."""
    return [{**_logprob(each), "top_logprobs": [*map(_logprob, each.top)]} for each in tokens]


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    return {"content": logprob_objects(tokens), "refusal": None} if tokens else None


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    logprob = LEAST_LOGPROB if token.logprob is None else max(token.logprob, LEAST_LOGPROB)
    return {"token": token.text, "logprob": logprob, "bytes": list(token.bytes)}


def dropped(ends: Iterable[Finished]) -> dict[str, int]:
    """For those who allowed it: how many messages had no room; nothing if all had."""
    most = max((end.dropped for end in ends), default=0)
    return {"dropped_messages": most} if most else {}
