"""OpenAI's dialect from the other side: requests to an engine elsewhere, and what it streams back as events.

The opposite of `openai_chat_request`, `openai_completions` and their streams. Extensions are spelled as vLLM and SGLang
do, and only what differs from the defaults is sent. Personas and dropped messages are this side's business.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

from gadfly.completion import Sampling, Usage
from gadfly.conversation import (
    AnswerEvent,
    AnswerFormat,
    ChatRequest,
    Finished,
    Grammar,
    JsonSchema,
    Message,
    ReasoningDelta,
    Regex,
    TextDelta,
    TextRequest,
    TokenLogprob,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
)

__all__ = [
    "SO_FAR",
    "ChatReader",
    "CompletionReader",
    "Reader",
    "without_usage_so_far",
    "write_chat",
    "write_completion",
    "write_count",
]

SO_FAR = "continuous_usage_stats"  # of vLLM and SGLang
_USAGE: Mapping[str, Any] = {"include_usage": True}
_REASONS: Mapping[str, Any] = {"length": "length", "tool_calls": "tool_calls", "function_call": "tool_calls"}


def write_chat(request: ChatRequest, model: str) -> dict[str, Any]:
    """The body of a request for chat completions, streamed, with usage in every chunk.

    Some are told at the beginning what their prompt has taken; for engines that know no such usage, see below.
    """
    body = {**_shared(request, model), "messages": [_message(each) for each in request.messages]}
    body["stream_options"] = {**_USAGE, SO_FAR: True}
    if request.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    if request.tools:
        body |= {"tools": [_tool(each) for each in request.tools], "tool_choice": _choice(request.tool_choice)}
        if not request.tool_choice.parallel:
            body["parallel_tool_calls"] = False
    if request.template_variables:
        body["chat_template_kwargs"] = dict(request.template_variables)
    return body


def without_usage_so_far(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same request with usage at its end only."""
    return {**body, "stream_options": _USAGE}


def write_completion(request: TextRequest, model: str) -> dict[str, Any]:
    """The body of a request for completions, streamed, with usage."""
    prompt = request.prompt if isinstance(request.prompt, str) else list(request.prompt)
    body = {**_shared(request, model), "prompt": prompt}
    if request.logprobs is not None:
        body["logprobs"] = request.logprobs
    return {**body, **{name: True for name in ("echo", "ignore_eos") if getattr(request, name)}}


def write_count(messages: Sequence[Message], tools: Sequence[Tool], model: str) -> dict[str, Any]:
    """The body of a request for the ids of a prompt, which vLLM takes at /tokenize."""
    body: dict[str, Any] = {"model": model, "messages": [_message(each) for each in messages]}
    return {**body, "tools": [_tool(each) for each in tools]} if tools else body


class Reader(Protocol):
    """Makes events, each with the number of its choice, of the chunks of a stream, and of its end.

    `usage` and `fingerprint` are what the engine has said by then, of all choices together.
    """

    @property
    def usage(self) -> Usage: ...
    @property
    def fingerprint(self) -> str: ...
    def events(self, chunk: Mapping[str, Any]) -> Iterator[tuple[int, AnswerEvent]]: ...
    def end(self) -> Iterator[tuple[int, AnswerEvent]]: ...


class _Ends:
    """Why each of `n` choices ended; what they took together is put down to the first, as nobody says more."""

    def __init__(self, n: int) -> None:
        self.usage = Usage(0, 0, 0, 0.0, 0.0)
        self.fingerprint = ""
        self._reasons: list[Any] = ["length"] * n  # of a stream that just stops
        self._thought = 0

    def note(self, chunk: Mapping[str, Any]) -> None:
        self.fingerprint = chunk.get("system_fingerprint") or self.fingerprint
        if usage := chunk.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            prompt, written = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
            self.usage = Usage(prompt, cached, written, 0.0, 0.0)
            self._thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        for choice in chunk.get("choices") or ():
            if reason := choice.get("finish_reason"):
                self._reasons[choice["index"]] = _REASONS.get(reason, "stop")

    def end(self) -> Iterator[tuple[int, AnswerEvent]]:
        for number, reason in enumerate(self._reasons):
            usage, thought = (replace(self.usage, completion_tokens=0), 0) if number else (self.usage, self._thought)
            yield number, Finished(reason, usage, reasoning_tokens=thought)


class ChatReader(_Ends):
    """Of chunks of chat completions."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._calls = [0] * n  # that have begun

    def events(self, chunk: Mapping[str, Any]) -> Iterator[tuple[int, AnswerEvent]]:
        self.note(chunk)
        for choice in chunk.get("choices") or ():
            number, delta = choice["index"], choice.get("delta") or {}
            if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                yield number, ReasoningDelta(thought)
            logprobs = tuple(map(_logprob, (choice.get("logprobs") or {}).get("content") or ()))
            if delta.get("content") or logprobs:
                yield number, TextDelta(delta.get("content") or "", logprobs)
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                if call["index"] == self._calls[number]:
                    self._calls[number] += 1
                    yield number, ToolCallStart(call["index"], call["id"], function["name"])
                if function.get("arguments"):
                    yield number, ToolCallDelta(call["index"], function["arguments"])


class CompletionReader(_Ends):
    """Of chunks of completions."""

    def events(self, chunk: Mapping[str, Any]) -> Iterator[tuple[int, AnswerEvent]]:
        self.note(chunk)
        for choice in chunk.get("choices") or ():
            logprobs = tuple(_logprobs(choice.get("logprobs") or {}))
            if choice.get("text") or logprobs:
                yield choice["index"], TextDelta(choice.get("text") or "", logprobs)


def _shared(request: ChatRequest | TextRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": True, "stream_options": _USAGE}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.n != 1:
        body["n"] = request.n
    if request.truncate:
        body["truncation"] = "auto"
    return {**body, **_sampling(request.sampling), **_format(request.format)}


def _sampling(sampling: Sampling | None) -> dict[str, Any]:
    """Temperature always, if anything was asked for at all: engines have defaults of their own."""
    if sampling is None:
        return {}
    plain = Sampling()
    names = [one.name for one in fields(Sampling) if getattr(sampling, one.name) != getattr(plain, one.name)]
    written = {name: getattr(sampling, name) for name in ("temperature", *names) if name != "penalty_window"}
    if sampling.logit_bias:
        written["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    return written


def _format(wanted: AnswerFormat | None) -> dict[str, Any]:
    match wanted:
        case JsonSchema():
            schema = {"name": "answer", "schema": dict(wanted.schema), "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case Regex():
            return {"regex": wanted.pattern}
        case Grammar():
            return {"grammar": {"syntax": wanted.language, "definition": wanted.text}}
    return {}


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        written["reasoning_content"] = message.reasoning
    if message.tool_calls:
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    optional = {"tool_call_id": message.tool_call_id, "name": message.name}
    return {**written, **{name: value for name, value in optional.items() if value is not None}}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": {**function, "strict": True} if tool.strict else function}


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    return choice.mode if choice.name is None else {"type": "function", "function": {"name": choice.name}}


def _logprob(written: Mapping[str, Any]) -> TokenLogprob:
    """Ids of tokens are not told."""
    data = written.get("bytes")
    content = written["token"].encode() if data is None else bytes(data)
    top = tuple(map(_logprob, written.get("top_logprobs") or ()))
    return TokenLogprob(-1, written["token"], content, written["logprob"], top)


def _logprobs(table: Mapping[str, Any]) -> Iterator[TokenLogprob]:
    tokens = table.get("tokens") or ()
    tops = table.get("top_logprobs") or [None] * len(tokens)
    for token, logprob, top in zip(tokens, table.get("token_logprobs") or (), tops, strict=True):
        others = tuple(TokenLogprob(-1, text, text.encode(), value) for text, value in (top or {}).items())
        yield TokenLogprob(-1, token, token.encode(), logprob, others)
