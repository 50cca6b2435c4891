"""What Ollama's chat and generate may ask for, and which field is blamed for what they may not."""

import math
from typing import Any

import pytest

from gadfly.api.ollama_request import OllamaCall, read_ollama_chat, read_ollama_generate
from gadfly.completion import Sampling
from gadfly.conversation import ChatRequest, JsonSchema, Message, TextRequest, Tool, ToolCall
from gadfly.errors import RequestError

HI = [{"role": "user", "content": "Hi"}]


def chat(**fields: Any) -> OllamaCall:
    return read_ollama_chat({"model": "m", "messages": HI, **fields})


def generate(**fields: Any) -> OllamaCall:
    return read_ollama_generate({"model": "m", "prompt": "Hi", **fields})


def test_little_is_needed_and_streaming_is_the_default() -> None:
    request = ChatRequest((Message("user", "Hi"),))
    assert chat() == OllamaCall("m", request, stream=True, keep_alive=None)
    assert generate() == OllamaCall("m", request, stream=True, keep_alive=None)
    assert not chat(stream=False).stream


def test_a_tag_that_means_nothing_and_an_older_name_for_the_name() -> None:
    assert read_ollama_chat({"name": "m:latest"}).model == "m"
    assert read_ollama_chat({"model": "m:7b"}).model == "m:7b"


def test_without_anything_to_say_a_model_is_loaded_or_let_go() -> None:
    assert chat(messages=[]).request is None
    assert generate(prompt="", keep_alive=0) == OllamaCall("m", None, keep_alive=0.0)


def test_options() -> None:
    options = {
        "num_ctx": 4096,
        "num_predict": 5,
        "temperature": 0.5,
        "repeat_penalty": 1.1,
        "repeat_last_n": -1,
        "top_k": 40,
        "seed": 7,
        "stop": ["a"],
    }
    request = chat(options=options, format="json", think=True, logprobs=True, top_logprobs=2, truncate=True).request
    assert isinstance(request, ChatRequest)
    assert (request.max_tokens, request.stop, request.format) == (5, ("a",), JsonSchema())
    assert request.sampling == Sampling(0.5, 40, repetition_penalty=1.1, penalty_window=2**31, seed=7)
    assert (request.logprobs, request.truncate, request.template_variables) == (2, True, {"enable_thinking": True})


@pytest.mark.parametrize("count", [-1, -2, 0])
def test_as_many_tokens_as_there_is_room_for(count: int) -> None:
    request = chat(options={"num_predict": count}).request
    assert request is not None and request.max_tokens is None


@pytest.mark.parametrize(
    ("given", "read"),
    [("", None), (None, None), ("json", JsonSchema()), ({"type": "array"}, JsonSchema({"type": "array"})), ({}, None)],
)
def test_formats(given: object, read: object) -> None:
    request = chat(format=given).request
    assert request is not None and request.format == read


def test_thinking() -> None:
    variables = [chat(think=think).request.template_variables for think in (None, False, "high")]  # type: ignore[union-attr]
    assert variables == [{}, {"enable_thinking": False}, {"enable_thinking": True, "reasoning_effort": "high"}]


def test_calls_get_ids_and_results_find_them() -> None:
    def call(name: str, **arguments: object) -> dict[str, object]:
        return {"function": {"name": name, "arguments": arguments}}

    given = [
        *HI,
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call("look", at="ß"), call("dive")]},
        {"role": "tool", "tool_name": "dive", "content": "Wet."},
        {"role": "tool", "content": "Blue."},
        {"role": "assistant", "tool_calls": [call("look")]},
        {"role": "tool", "name": "look", "content": "Grey."},
        {"role": "tool", "tool_name": "swim", "content": "?"},
    ]
    request = chat(messages=given).request
    assert isinstance(request, ChatRequest)
    assert request.messages[1:] == (
        Message("assistant", "", "Hm.", (ToolCall("call_0", "look", '{"at": "ß"}'), ToolCall("call_1", "dive", "{}"))),
        Message("tool", "Wet.", tool_call_id="call_1", name="dive"),
        Message("tool", "Blue.", tool_call_id="call_0"),
        Message("assistant", "", tool_calls=(ToolCall("call_2", "look", "{}"),)),
        Message("tool", "Grey.", tool_call_id="call_2", name="look"),
        Message("tool", "?", name="swim"),
    )


def test_tools() -> None:
    tool = {"type": "function", "function": {"name": "look", "description": "Up.", "parameters": {"type": "object"}}}
    request = chat(tools=[tool]).request
    assert isinstance(request, ChatRequest) and request.tools == (Tool("look", "Up.", {"type": "object"}),)


def test_a_prompt_goes_through_the_template_or_stays_as_it_is() -> None:
    assert generate(system="Be brief.").request == ChatRequest((Message("system", "Be brief."), Message("user", "Hi")))
    raw = generate(raw=True, options={"num_predict": 3}, format="json").request
    assert raw == TextRequest("Hi", max_tokens=3, format=JsonSchema())


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (2.5, 2.5),
        (-1, math.inf),
        ("300", 300.0),
        ("-1", math.inf),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5s", 1.5),
        ("-1m", math.inf),
        ("250ms", 0.25),
    ],
)
def test_how_long_a_model_stays(given: object, seconds: float | None) -> None:
    assert chat(keep_alive=given).keep_alive == seconds


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"model": None}, "name"),
        ({"model": 5}, "model"),
        ({"messages": 5}, "messages"),
        ({"messages": [{"content": "Hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "Hi", "images": ["aGk="]}]}, "messages[0].images"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"options": 5}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": 0.5}}, "options.num_predict"),
        ({"options": {"stop": [5]}}, "options.stop[0]"),
        ({"format": "xml"}, "format"),
        ({"format": 5}, "format"),
        ({"think": 5}, "think"),
        ({"stream": "no"}, "stream"),
        ({"keep_alive": "long"}, "keep_alive"),
        ({"keep_alive": []}, "keep_alive"),
        ({"keep_alive": ""}, "keep_alive"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
)
def test_what_chat_refuses_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        chat(**fields)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"prompt": 5}, "prompt"),
        ({"suffix": "b"}, "suffix"),
        ({"context": [1]}, "context"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"images": ["aGk="]}, "images"),
        ({"raw": "yes"}, "raw"),
    ],
)
def test_what_generate_refuses_names_the_field(fields: dict[str, Any], parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        generate(**fields)
    assert caught.value.parameter == parameter
