"""What tests of wire formats share: an answer of every kind, and the check that the official SDKs make when strict."""

import json
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from gadfly.api.stamp import Stamp
from gadfly.completion import Usage
from gadfly.conversation import (
    AnswerEvent,
    Finished,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
)

Kind = TypeVar("Kind")

STAMP = Stamp("x-1", 1_800_000_000.25, "smollm2", "fp_1")
USAGE = Usage(prompt_tokens=9, cached_tokens=4, completion_tokens=5, prefill_seconds=0.25, decode_seconds=0.5)

HI = TokenLogprob(7, "Hi", b"Hi", -0.5, (TokenLogprob(7, "Hi", b"Hi", -0.5), TokenLogprob(8, "Yo", b"Yo", -1.5)))
HALF = TokenLogprob(9, "�", b"\xc3", -0.25, (TokenLogprob(10, "!", b"!", float("-inf")),))

SHORT: list[AnswerEvent] = [TextDelta("Hi"), TextDelta(" you"), Finished("stop", USAGE)]
STOPPED: list[AnswerEvent] = [TextDelta("Hi"), Finished("stop", USAGE, stop="you", dropped=2)]
CUT: list[AnswerEvent] = [TextDelta("Hi"), Finished("length", USAGE)]
CANCELLED: list[AnswerEvent] = [Finished("cancelled", USAGE)]
LIKELY: list[AnswerEvent] = [TextDelta("Hi", (HI,)), TextDelta("", (HALF,)), Finished("stop", USAGE)]
THOUGHT: list[AnswerEvent] = [
    ReasoningDelta("Hm"),
    ReasoningDelta("."),
    TextDelta("Hi"),
    Finished("stop", USAGE, reasoning_tokens=2),
]
CALLS: list[AnswerEvent] = [
    TextDelta("Wait"),
    ToolCallStart(0, "call_a", "look"),
    ToolCallDelta(0, '{"at":'),
    ToolCallDelta(0, '"sky"}'),
    ToolCallStart(1, "call_b", "wait"),
    Finished("tool_calls", USAGE),
]
ANSWERS = [SHORT, STOPPED, CUT, CANCELLED, LIKELY, THOUGHT, CALLS]


@cache
def adapter(kind: type[Kind]) -> "TypeAdapter[Kind]":
    return TypeAdapter(kind)


def strict(kind: type[Kind], body: dict[str, Any]) -> Kind:
    """The body as an SDK parses it, which then is stricter still: a wrong type anywhere in it is an error."""
    return adapter(kind).validate_json(json.dumps(body, allow_nan=False), strict=True)
