"""What a client sends to Ollama's /api/chat and /api/generate: https://docs.ollama.com/api.

How to draw tokens stands in `options`, whose load-time part has no meaning here. Streaming is the default. Calls of
tools have no ids on this wire, so they get some, and the results that follow get the same ones. A call without messages
or prompt has no request: it wants the model to be loaded, or, with a `keep_alive` of 0, to go. Other than by Ollama,
nothing is cut off from a long prompt unless `truncate` or `truncation` allows it. What comes back: `ollama_answers`.
"""

import json
from dataclasses import dataclass
from typing import Any, get_args

from gadfly.api.adapters import read_adapters
from gadfly.api.answer_format import one_format, read_extensions
from gadfly.api.durations import read_keep_alive
from gadfly.api.fields import Fields
from gadfly.api.openai_chat_request import LOGPROB_LIMIT, MESSAGE_LIMIT, TOKEN_LIMIT, read_functions, read_shared
from gadfly.api.sampling import MODELS_OWN, OLLAMA_NAMES, read_sampling, read_stop
from gadfly.api.tools import TOOL_LIMIT, tool_name
from gadfly.completion import Sampling
from gadfly.conversation import AnswerFormat, ChatRequest, JsonSchema, Message, Role, TextRequest, ToolCall

__all__ = ["OllamaCall", "read_model", "read_ollama_chat", "read_ollama_generate"]


@dataclass(frozen=True)
class OllamaCall:
    """A request and how it is to be answered. `keep_alive` is in seconds; None leaves it to the server."""

    model: str
    request: ChatRequest | TextRequest | None
    stream: bool = True
    keep_alive: float | None = None


def read_ollama_chat(body: object, defaults: Sampling = MODELS_OWN) -> OllamaCall:
    """Raises RequestError naming the field. `defaults` holds where the client sets something else of a Sampling."""
    fields = Fields(body)
    messages: list[Message] = []
    for each in fields.tables("messages", MESSAGE_LIMIT):
        messages.append(_message(each, messages))
    request = (
        ChatRequest(tuple(messages), tools=read_functions(fields), **_chat(fields, defaults)) if messages else None
    )
    return OllamaCall(read_model(fields), request, fields.flag("stream", True), read_keep_alive(fields))


def read_ollama_generate(body: object, defaults: Sampling = MODELS_OWN) -> OllamaCall:
    """A prompt that goes through the model's template, or with `raw` as it is. Raises RequestError naming the field."""
    fields = Fields(body)
    for key, instead in (("suffix", "the models here fill no gaps"), ("context", "send messages to /api/chat")):
        if fields[key]:
            raise fields.wrong(key, f"nothing: {instead}")
    if fields[key := "template"]:
        raise fields.wrong(key, "nothing: a model comes with its template; send `raw` to do without")
    _refuse_images(fields)
    prompt = fields.text("prompt", "")
    request: ChatRequest | TextRequest | None = None
    if prompt and fields.flag("raw"):
        shared = _shared(fields, defaults)
        request = TextRequest(prompt, truncate=_truncate(fields), adapters=read_adapters(fields), **shared)
    elif prompt:
        system = fields.text("system", "")
        messages = (*([Message("system", system)] if system else []), Message("user", prompt))
        request = ChatRequest(messages, **_chat(fields, defaults))
    return OllamaCall(read_model(fields), request, fields.flag("stream", True), read_keep_alive(fields))


def read_model(fields: Fields) -> str:
    """The name of a model, `model` or `name`, as older clients have it, without the tag that Ollama adds to all."""
    return fields.need_text("model" if "model" in fields else "name", 1000).removesuffix(":latest")


def _chat(fields: Fields, defaults: Sampling) -> dict[str, Any]:
    shared = read_shared(fields)
    variables = {**_thinking(fields), **shared["template_variables"]}
    return {**shared, **_shared(fields, defaults), "template_variables": variables, "truncate": _truncate(fields)}


def _shared(fields: Fields, defaults: Sampling) -> dict[str, Any]:
    options = fields.table("options") or Fields({}, "options")
    most = options.whole("num_predict", -2, TOKEN_LIMIT)  # less than 0: as many as there is room for
    top = fields.whole("top_logprobs", 0, LOGPROB_LIMIT, 0)
    return {
        "max_tokens": most if most is not None and most > 0 else None,
        "sampling": read_sampling(options, defaults, OLLAMA_NAMES),
        "stop": read_stop(options),
        "format": one_format(_formats(fields) + read_extensions(fields)),
        "logprobs": top if fields.flag("logprobs") else None,
    }


def _truncate(fields: Fields) -> bool:
    return fields.flag("truncate") or fields.one_of("truncation", ("auto", "disabled"), "disabled") == "auto"


def _formats(fields: Fields) -> list[AnswerFormat]:
    """Nothing, "json", or a schema."""
    if isinstance(fields["format"], dict):
        return [JsonSchema(schema)] if (schema := fields.json("format")) else []
    return [JsonSchema()] if fields.one_of("format", ("", "json"), "") == "json" else []


def _thinking(fields: Fields) -> dict[str, Any]:
    if isinstance(fields["think"], str):
        return {"enable_thinking": True, "reasoning_effort": fields.text("think", "", 20)}
    think = fields.flag("think", None)
    return {} if think is None else {"enable_thinking": think}


def _message(fields: Fields, earlier: list[Message]) -> Message:
    _refuse_images(fields)
    role: Role = fields.need_one_of("role", get_args(Role))
    text = fields.text("content", "")
    if role == "tool":
        name = fields.text("tool_name") or fields.text("name")
        return Message(role, text, tool_call_id=fields.text("tool_call_id") or _answered(earlier, name), name=name)
    first = sum(len(message.tool_calls) for message in earlier)
    calls = [_call(each, first + index) for index, each in enumerate(fields.tables("tool_calls", TOOL_LIMIT))]
    return Message(role, text, fields.text("thinking", ""), tuple(calls))


def _call(fields: Fields, index: int) -> ToolCall:
    function = fields.need_table("function")
    arguments = json.dumps(function.json("arguments"), ensure_ascii=False)
    return ToolCall(fields.text("id") or f"call_{index}", tool_name(function), arguments)


def _answered(earlier: list[Message], name: str | None) -> str | None:
    """The id of the first call that has no result yet, of the tool called `name` if that is said."""
    done = {message.tool_call_id for message in earlier}
    open_calls = [call for message in earlier for call in message.tool_calls if call.id not in done]
    return next((call.id for call in open_calls if name in (None, call.name)), None)


def _refuse_images(fields: Fields) -> None:
    if fields["images"]:
        raise fields.wrong("images", "none: the models here read only text")
