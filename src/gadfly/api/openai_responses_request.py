"""What a client sends to OpenAI's responses: https://platform.openai.com/docs/api-reference/responses/create.

The input is a text or a list of items, of which an answer of a model makes several: what it thought, said and wanted to
have called. Here they are one message again. Kinds of tools and items that only OpenAI's servers know are left out.
What came before is whoever's who keeps it: see `ResponseCall.after`. What comes back: `openai_responses`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from gadfly.api.answer_format import one_format, read_extensions, read_openai_format
from gadfly.api.fields import Fields
from gadfly.api.openai_chat_request import (
    LOGPROB_LIMIT,
    MESSAGE_LIMIT,
    TOKEN_LIMIT,
    allowed_tools,
    read_content,
    read_shared,
)
from gadfly.api.sampling import MODELS_OWN, read_sampling, read_stop
from gadfly.api.tools import TOOL_LIMIT, check_choice, check_tools, tool_name
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, Message, Tool, ToolCall, ToolChoice
from gadfly.errors import NotFoundError, RequestError

__all__ = ["ResponseCall", "read_response"]


@dataclass(frozen=True)
class ResponseCall:
    """A request and how it is to be answered.

    `turn` are the messages of its input, `previous` the id of the response that it follows. `format` and `metadata` are
    the client's words, sent back to it.
    """

    model: str | None
    request: ChatRequest
    turn: tuple[Message, ...]
    instructions: str | None = None
    previous: str | None = None
    stream: bool = False
    store: bool = True
    format: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None

    def after(self, earlier: Sequence[Message]) -> "ResponseCall":
        """The same call in a conversation: instructions first, which are those of this call alone."""
        instructions = (Message("system", self.instructions),) if self.instructions else ()
        return replace(self, request=replace(self.request, messages=(*instructions, *earlier, *self.turn)))


def read_response(
    body: object, defaults: Sampling = MODELS_OWN, earlier: Callable[[str], Sequence[Message] | None] = lambda _: None
) -> ResponseCall:
    """Raises RequestError naming the field. `defaults` holds where the client sets something else of a Sampling.

    `earlier` is asked for the conversation up to a response, by its id: clients may refer to items of it.
    """
    fields = Fields(body)
    for key in ("background", "conversation", "prompt"):
        if fields[key]:
            raise fields.wrong(key, "nothing: this is kept and run at OpenAI only")
    turn = _turn(fields, earlier)
    tools, choice = _tools(fields)
    config = fields.table("text")
    format_fields = None if config is None else config.table("format")
    shared = read_shared(fields)
    if (reasoning := fields.table("reasoning")) is not None and (effort := reasoning.text("effort", most=20)):
        thinking = {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}
        shared["template_variables"] = {**thinking, **shared["template_variables"]}
    request = ChatRequest(
        turn,
        max_tokens=fields.whole("max_output_tokens", 1, TOKEN_LIMIT),
        sampling=read_sampling(fields, defaults),
        stop=read_stop(fields),
        tools=tools,
        tool_choice=choice,
        format=one_format(read_openai_format(format_fields, None) + read_extensions(fields)),
        logprobs=_logprobs(fields),
        **shared,
    )
    call = ResponseCall(
        fields.text("model"),
        request,
        turn,
        instructions=fields.text("instructions"),
        previous=fields.text("previous_response_id", most=200),
        stream=fields.flag("stream"),
        store=fields.flag("store", True),
        format=_format(format_fields),
        metadata=fields.json("metadata"),
    )
    return call.after(())


def _turn(fields: Fields, earlier: Callable[[str], Sequence[Message] | None]) -> tuple[Message, ...]:
    if isinstance(fields["input"], str):
        return (Message("user", fields.text("input", "")),)
    messages: list[Message] = []
    for item in fields.tables("input", MESSAGE_LIMIT):
        referring = item.text("type", "message" if "role" in item else "item_reference") == "item_reference"
        _add(messages, _referred(item, earlier) if referring else item)
    if not messages:
        raise fields.wrong("input", "a text, or an array with at least one message")
    return tuple(messages)


def _add(messages: list[Message], item: Fields) -> None:
    """Put an item behind the others, or into the answer that it is a part of."""
    last = messages[-1] if messages and messages[-1].role == "assistant" else None
    match item.text("type", "message"):
        case "message":
            role: str = item.need_one_of("role", ("user", "assistant", "system", "developer"))
            text = read_content(item)
            if role != "assistant":
                messages.append(Message("user" if role == "user" else "system", text))
            elif last is None or last.content or last.tool_calls:
                messages.append(Message("assistant", text))
            else:
                messages[-1] = replace(last, content=text)
        case "reasoning":
            parts = [*item.tables("content", MESSAGE_LIMIT), *item.tables("summary", MESSAGE_LIMIT)]
            thought = "\n".join(part.text("text", "") for part in parts)
            if last is None or last.content or last.tool_calls:
                messages.append(Message("assistant", "", thought))
            else:
                messages[-1] = replace(last, reasoning=f"{last.reasoning}\n{thought}")
        case "function_call":
            call = ToolCall(item.need_text("call_id"), tool_name(item), item.text("arguments", ""))
            if last is None:
                messages.append(Message("assistant", "", tool_calls=(call,)))
            else:
                messages[-1] = replace(last, tool_calls=(*last.tool_calls, call))
        case "function_call_output":
            messages.append(Message("tool", read_content(item, "output"), tool_call_id=item.need_text("call_id")))


def _referred(item: Fields, earlier: Callable[[str], Sequence[Message] | None]) -> Fields:
    """The item of an answer that its id stands for, as the response had it. Raises NotFoundError."""
    id_ = item.need_text("id", 200)
    kind, _, place = id_.partition("_")
    response, _, number = place.rpartition("_")
    found: Mapping[str, Any] | None = None
    if conversation := earlier(f"resp_{response}"):
        answer = conversation[-1]
        before = bool(answer.reasoning) + bool(answer.content)
        if kind == "msg" and answer.content:
            found = {"role": "assistant", "content": answer.content}
        elif kind == "rs" and answer.reasoning:
            found = {"type": "reasoning", "content": [{"text": answer.reasoning}]}
        elif kind == "fc" and number.isdecimal() and 0 <= int(number) - before < len(answer.tool_calls):
            call = answer.tool_calls[int(number) - before]
            found = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
    if found is None:
        raise NotFoundError(f"{item.at('id')} is {id_!r:.100}, and no such item is here; send the item itself")
    return Fields(found, item.at("id"))


def _tools(fields: Fields) -> tuple[tuple[Tool, ...], ToolChoice]:
    tools = check_tools(
        [
            Tool(tool_name(each), each.text("description", ""), each.json("parameters"), each.flag("strict"))
            for each in fields.tables("tools", TOOL_LIMIT)
            if each["type"] == "function"
        ]
    )
    parallel = fields.flag("parallel_tool_calls", True)
    if not isinstance(fields["tool_choice"], dict):
        mode: Literal["none", "auto", "required"] = fields.one_of("tool_choice", ("none", "auto", "required"), "auto")
        return tools, check_choice(ToolChoice(mode, parallel=parallel), tools)
    choice = fields.need_table("tool_choice")
    match choice["type"]:
        case "function":
            return tools, check_choice(ToolChoice("required", choice.need_text("name"), parallel=False), tools)
        case "allowed_tools":
            return allowed_tools(choice, tools, parallel)
    return tools, ToolChoice("auto", parallel=parallel)  # a kind of tool that was left out


def _logprobs(fields: Fields) -> int | None:
    top = fields.whole("top_logprobs", 0, LOGPROB_LIMIT)
    wanted = any(item == "message.output_text.logprobs" for _, item in fields.items("include", 100))
    if top and not wanted:
        raise RequestError(
            "top_logprobs is given, but message.output_text.logprobs is not in include; add it", "top_logprobs"
        )
    return (top or 0) if wanted else None


def _format(fields: Fields | None) -> Mapping[str, Any]:
    """As a response repeats it."""
    kind = "text" if fields is None else fields.text("type", "text")
    if fields is None or kind != "json_schema":
        return {"type": kind}
    name = fields.text("name", "answer", 100)
    return {"type": kind, "name": name, "schema": fields.json("schema"), "strict": fields.flag("strict")}
