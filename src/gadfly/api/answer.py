"""An answer as a whole, put together from its events: what is sent where nobody streams, and at the end of a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gadfly.completion import Usage
from gadfly.conversation import (
    AnswerEvent,
    Finished,
    Message,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)

__all__ = ["Answer", "Tally", "collect", "spent", "tally"]


class Answer:
    """Fed with the events of one answer. `finished` is None until the last of them has come."""

    def __init__(self) -> None:
        self.finished: Finished | None = None
        self.logprobs: list[TokenLogprob] = []
        self.tool_calls: list[ToolCall] = []
        self._text: list[str] = []
        self._reasoning: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    @property
    def end(self) -> Finished:
        """The last event, where there has to be one."""
        if self.finished is None:
            raise ValueError("the answer is not finished")
        return self.finished

    @property
    def message(self) -> Message:
        """The answer as a part of the conversation, for whoever goes on with it."""
        return Message("assistant", self.text, self.reasoning, tuple(self.tool_calls))

    def events(self) -> Iterator[AnswerEvent]:
        """Events that make the same answer: thoughts, text, calls, end."""
        if self.reasoning:
            yield ReasoningDelta(self.reasoning)
        if self.text or self.logprobs:
            yield TextDelta(self.text, tuple(self.logprobs))
        for index, call in enumerate(self.tool_calls):
            yield ToolCallStart(index, call.id, call.name)
            yield ToolCallDelta(index, call.arguments)
        yield self.end

    def add(self, event: AnswerEvent) -> None:
        match event:
            case TextDelta():
                self._text.append(event.text)
                self.logprobs += event.logprobs
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case ToolCallStart():
                if event.index != len(self.tool_calls):
                    raise ValueError(f"tool call {event.index} starts after {len(self.tool_calls)} others")
                self.tool_calls.append(ToolCall(event.id, event.name, ""))
            case ToolCallDelta():
                call = self.tool_calls[event.index]
                self.tool_calls[event.index] = replace(call, arguments=call.arguments + event.arguments)
            case Finished():
                self.finished = event


def collect(events: Iterable[AnswerEvent]) -> Answer:
    """The answer that all its events make."""
    answer = Answer()
    for event in events:
        answer.add(event)
    return answer


@dataclass(frozen=True)
class Tally:
    """Tokens of all answers to a request."""

    prompt: int
    cached: int
    answer: int
    reasoning: int


def tally(ends: Sequence[Finished], n: int = 1) -> Tally:
    """The tokens of a request with `n` answers to each of its prompts, in this order: a prompt counts once."""
    return spent([end.usage for end in ends], n, sum(end.reasoning_tokens for end in ends))


def spent(usages: Sequence[Usage], n: int = 1, reasoning: int = 0) -> Tally:
    """The same of answers that may not be finished, of which `reasoning` tokens are known to be thoughts."""
    first = usages[::n]
    return Tally(
        prompt=sum(usage.prompt_tokens for usage in first),
        cached=sum(usage.cached_tokens for usage in first),
        answer=sum(usage.completion_tokens for usage in usages),
        reasoning=reasoning,
    )
