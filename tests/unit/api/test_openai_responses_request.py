"""What responses may ask for, how items become messages, and which field is blamed for what may not be asked."""

from typing import Any

import pytest

from gadfly.api.answer import collect
from gadfly.api.openai_responses import response
from gadfly.api.openai_responses_request import ResponseCall, read_response
from gadfly.api.stamp import Stamp
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, JsonSchema, Message, Tool, ToolCall, ToolChoice
from gadfly.errors import NotFoundError, RequestError
from wire import CALLS, STAMP, THOUGHT

SKY = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": None}
SEA = {"type": "function", "name": "dive", "description": "Deep.", "strict": True}


def read(**fields: Any) -> ResponseCall:
    return read_response({"input": "Hi", **fields})


def test_little_is_needed() -> None:
    call = read()
    assert call.request == ChatRequest((Message("user", "Hi"),))
    assert (call.model, call.stream, call.store, call.previous) == (None, False, True, None)


def test_items_become_messages() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look!"}]},
        {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Well."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "dive", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "Blue."},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Wet."}]},
        {"role": "assistant", "content": "Done."},
        {"role": "assistant", "content": "Really."},
        {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
    ]
    assert read(input=items).turn == (
        Message("system", "Be brief."),
        Message("user", "Look!"),
        Message("assistant", "Wait.", "Hm.\nWell.", (ToolCall("c1", "look", "{}"), ToolCall("c2", "dive", "{}"))),
        Message("tool", "Blue.", tool_call_id="c1"),
        Message("tool", "Wet.", tool_call_id="c2"),
        Message("assistant", "Done."),
        Message("assistant", "Really.", tool_calls=(ToolCall("c3", "look", "{}"),)),
    )


@pytest.mark.parametrize("events", [THOUGHT, CALLS])
def test_items_may_be_referred_to_by_their_ids(events: Any) -> None:
    answer = collect(events)
    stamp = Stamp("resp_ab", 0.0, "smollm2")
    items = response(answer, stamp, read())["output"]
    kept = {"resp_ab": (Message("user", "Hi"), answer.message)}
    references = [{"type": "item_reference", "id": items[0]["id"]}, *({"id": item["id"]} for item in items[1:])]
    call = read_response({"input": [*references, {"role": "user", "content": "Go on."}]}, earlier=kept.get)
    assert call.turn == (answer.message, Message("user", "Go on."))


@pytest.mark.parametrize(
    "id_", ["msg_other_0", "rs_ab_0", "fc_ab_0", "fc_ab_7", "fc_ab_x", "fc_ab_", "ab", "_", "ws_ab_0"]
)
def test_an_item_that_is_not_here_is_asked_for(id_: str) -> None:
    kept = {"resp_ab": (Message("assistant", "Hi", tool_calls=(ToolCall("c", "look", "{}"),)),)}
    with pytest.raises(NotFoundError, match=r"input\[0\].id .* send the item itself"):
        read_response({"input": [{"type": "item_reference", "id": id_}]}, earlier=kept.get)


@pytest.mark.parametrize("events", [THOUGHT, CALLS])
def test_what_was_sent_may_be_sent_back(events: Any) -> None:
    answer = collect(events)
    items = response(answer, STAMP, read())["output"]
    assert read(input=[{"role": "user", "content": "Hi"}, *items]).turn[1:] == (answer.message,)


def test_a_conversation_goes_on_under_the_instructions_of_its_last_call() -> None:
    call = read(instructions="Be brief.", previous_response_id="resp_0")
    assert call.previous == "resp_0"
    assert call.request.messages == (Message("system", "Be brief."), Message("user", "Hi"))
    earlier = [Message("user", "Yo"), Message("assistant", "Yo!")]
    assert call.after(earlier).request.messages == (Message("system", "Be brief."), *earlier, Message("user", "Hi"))
    assert call.after(earlier).turn == call.turn


@pytest.mark.parametrize(
    ("choice", "read_as", "kept"),
    [
        (None, ToolChoice(), 2),
        ("required", ToolChoice("required"), 2),
        ({"type": "function", "name": "dive"}, ToolChoice("required", "dive", parallel=False), 2),
        ({"type": "web_search"}, ToolChoice(), 2),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "dive"}]},
            ToolChoice("required"),
            1,
        ),
    ],
)
def test_tools_that_nobody_here_knows_are_left_out(choice: object, read_as: ToolChoice, kept: int) -> None:
    request = read(tools=[SKY, {"type": "web_search"}, SEA], tool_choice=choice).request
    assert request.tools == (Tool("look", parameters={"type": "object"}), Tool("dive", "Deep.", strict=True))[-kept:]
    assert request.tool_choice == read_as


def test_options() -> None:
    call = read(
        model="m",
        max_output_tokens=5,
        temperature=0,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=2,
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "array"}}, "verbosity": "low"},
        reasoning={"effort": "low"},
        stream=True,
        store=False,
        truncation="auto",
    )
    assert (call.model, call.stream, call.store) == ("m", True, False)
    assert call.request == ChatRequest(
        (Message("user", "Hi"),),
        max_tokens=5,
        sampling=Sampling(temperature=0),
        format=JsonSchema({"type": "array"}),
        logprobs=2,
        truncate=True,
        template_variables={"reasoning_effort": "low"},
    )
    assert read(text={"format": {"type": "json_object"}}).request.format == JsonSchema()
    assert read(reasoning={"effort": "none"}).request.template_variables == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "web_search_call"}]}, "input"),
        ({"input": [{"role": "robot", "content": "Hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "look"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"text": "json"}, "text"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "look"}}, "tool_choice"),
        ({"metadata": "x"}, "metadata"),
        ({"reasoning": "much"}, "reasoning"),
    ],
)
def test_what_is_refused_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.parameter == parameter
