"""What a client sends to OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat/create.

Extensions: top_k, min_p, repetition_penalty, grammar, regex, persona, wit, adapters, truncation and
chat_template_kwargs. What comes back: `openai_chat`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gadfly.api.adapters import read_adapters
from gadfly.api.answer_format import one_format, read_extensions, read_openai_format
from gadfly.api.fields import Fields, check_text
from gadfly.api.openai_functions import call_id, read_call, read_function, read_old_tools
from gadfly.api.sampling import MODELS_OWN, read_sampling, read_stop
from gadfly.api.tools import TOOL_LIMIT, check_choice, check_tools, tool_name
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Message, Role, Tool, ToolCall, ToolChoice
from gadfly.errors import RequestError

__all__ = [
    "CHOICE_LIMIT",
    "LOGPROB_LIMIT",
    "MESSAGE_LIMIT",
    "TOKEN_LIMIT",
    "ChatCall",
    "allowed_tools",
    "read_chat",
    "read_content",
    "read_functions",
    "read_shared",
]

CHOICE_LIMIT = 16
LOGPROB_LIMIT = 20
MESSAGE_LIMIT = 16_384
TOKEN_LIMIT = 2**31


@dataclass(frozen=True)
class ChatCall:
    """A request and how it is to be answered. `model` None: whatever is there; `old_functions`: in the old words.

    `usage_so_far`: in every chunk, which vLLM and SGLang call continuous.
    """

    model: str | None
    request: ChatRequest
    stream: bool = False
    include_usage: bool = False
    usage_so_far: bool = False
    old_functions: bool = False


def read_chat(body: object, defaults: Sampling = MODELS_OWN) -> ChatCall:
    """Raises RequestError naming the field. `defaults` holds where the client sets something else of a Sampling."""
    fields = Fields(body)
    messages = tuple(_message(each) for each in fields.tables("messages", MESSAGE_LIMIT))
    if not messages:
        raise fields.wrong("messages", "an array of at least one message")
    old = "functions" in fields
    tools, choice = read_old_tools(fields) if old else _tools(fields)
    formats = read_openai_format(fields.table("response_format"), "json_schema") + read_extensions(fields)
    options = fields.table("stream_options")
    with_usage = options is not None and options.flag("include_usage")
    most = fields.whole("max_completion_tokens", 1, TOKEN_LIMIT)
    request = ChatRequest(
        messages,
        max_tokens=fields.whole("max_tokens", 1, TOKEN_LIMIT) if most is None else most,
        sampling=read_sampling(fields, defaults),
        stop=read_stop(fields),
        tools=tools,
        tool_choice=choice,
        format=one_format(formats),
        logprobs=_logprobs(fields),
        n=fields.whole("n", 1, CHOICE_LIMIT, 1),
        **read_shared(fields),
    )
    return ChatCall(
        fields.text("model"),
        request,
        stream=fields.flag("stream"),
        include_usage=with_usage,
        usage_so_far=options is not None and options.flag("continuous_usage_stats") and with_usage,
        old_functions=old,
    )


def read_shared(fields: Fields) -> dict[str, Any]:
    """Extensions that every dialect takes, as arguments of a ChatRequest."""
    return {
        "truncate": fields.one_of("truncation", ("auto", "disabled"), "disabled") == "auto",
        "persona": fields.text("persona", most=100),
        "wit": fields.number("wit", 0, 1),
        "adapters": read_adapters(fields),
        "template_variables": _template_variables(fields),
    }


def _template_variables(fields: Fields) -> Mapping[str, Any]:
    """Efforts have no place in a ChatRequest: templates that know of any read them from these variables."""
    found: dict[str, Any] = {}
    if effort := fields.text("reasoning_effort", most=20):
        found = {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}
    return {**found, **fields.json("chat_template_kwargs")}


def _message(fields: Fields) -> Message:
    role = fields.need_one_of("role", (*get_args(Role), "developer", "function"))
    calls = tuple(_call(each) for each in fields.tables("tool_calls", TOOL_LIMIT))
    if (old := fields.table("function_call")) is not None:
        calls = (*calls, read_call(old))
    if role == "assistant":
        reasoning = fields.text("reasoning_content") or fields.text("reasoning", "")
        content = read_content(fields) if calls == () or "content" in fields else ""
        return Message("assistant", content, reasoning, calls, name=fields.text("name"))
    if role == "tool":
        return Message(
            "tool", read_content(fields), tool_call_id=fields.need_text("tool_call_id"), name=fields.text("name")
        )
    if role == "function":
        name = fields.need_text("name")
        return Message("tool", read_content(fields), tool_call_id=call_id(name), name=name)
    return Message("user" if role == "user" else "system", read_content(fields), name=fields.text("name"))


def read_content(fields: Fields, key: str = "content") -> str:
    """A string, or the text of parts, a line each."""
    if not isinstance(fields[key], list):
        return check_text(fields[key], fields.at(key))
    return "\n".join(_part(each) for each in fields.tables(key, MESSAGE_LIMIT))


def _part(fields: Fields) -> str:
    kind = fields.text("type", "")
    if kind in ("text", "input_text", "output_text"):
        return check_text(fields["text"], fields.at("text"))
    if kind == "refusal":
        return check_text(fields["refusal"], fields.at("refusal"))
    raise fields.wrong("type", "text: the models here read nothing else")


def _call(fields: Fields) -> ToolCall:
    fields.one_of("type", ("function",), "function")
    function = fields.need_table("function")
    return ToolCall(fields.need_text("id"), tool_name(function), function.text("arguments", ""))


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], ToolChoice]:
    tools = read_functions(fields)
    parallel = fields.flag("parallel_tool_calls", True)
    if not isinstance(fields["tool_choice"], dict):
        mode: Literal["none", "auto", "required"] = fields.one_of("tool_choice", ("none", "auto", "required"), "auto")
        return tools, check_choice(ToolChoice(mode, parallel=parallel), tools)
    choice = Fields(fields["tool_choice"], "tool_choice")
    match choice.one_of("type", ("function", "allowed_tools"), "function"):
        case "function":  # exactly one call, says OpenAI, and clients take an answer with more for a broken one
            name = _named(choice).need_text("name")
            return tools, check_choice(ToolChoice("required", name, parallel=False), tools)
    return allowed_tools(choice.need_table("allowed_tools"), tools, parallel)


def read_functions(fields: Fields) -> tuple[Tool, ...]:
    """`tools`, of which only functions are understood."""
    return check_tools([_tool(each) for each in fields.tables("tools", TOOL_LIMIT)])


def allowed_tools(fields: Fields, tools: Sequence[Tool], parallel: bool) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Only some of the tools, without others having to be sent."""
    names = [_named(each).need_text("name") for each in fields.tables("tools", TOOL_LIMIT)]
    for name in names:
        check_choice(ToolChoice("auto", name), tools)
    kept = tuple(tool for tool in tools if tool.name in names)
    mode: Literal["auto", "required"] = fields.one_of("mode", ("auto", "required"), "auto")
    return kept, check_choice(ToolChoice(mode, parallel=parallel), kept)


def _named(fields: Fields) -> Fields:
    """Where a tool has its name: chat completions put it one level deeper than responses."""
    return fields.need_table("function") if "function" in fields else fields


def _tool(fields: Fields) -> Tool:
    fields.one_of("type", ("function",), "function")
    return read_function(fields.need_table("function"))


def _logprobs(fields: Fields) -> int | None:
    top = fields.whole("top_logprobs", 0, LOGPROB_LIMIT)
    if fields.flag("logprobs"):
        return top or 0
    if top:
        raise RequestError("top_logprobs is given, but logprobs is not true; set it", "top_logprobs")
    return None
