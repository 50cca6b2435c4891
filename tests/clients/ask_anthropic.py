"""Anthropic's client for Python, before and after its API forked."""

import json

import anthropic
from asking import COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, Asking, refused

asking = Asking()
client = anthropic.Anthropic(
    base_url=asking.url, api_key="any", max_retries=0, timeout=300, _strict_response_validation=True
)
GREEDY = {"temperature": 0}  # which the later client has no parameter for
TOOL = {"name": "weather", "description": "The weather", "input_schema": WEATHER}


def user(text, length=24):
    messages = [{"role": "user", "content": text}]
    return {"model": asking.model, "messages": messages, "max_tokens": length, "extra_body": GREEDY}


@asking.check("models")
def _():
    assert asking.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(asking.model).id == asking.model


@asking.check("answer")
def _():
    answer = client.messages.create(**user(FRANCE), system="Be brief.")
    assert "Paris" in answer.content[0].text
    counted = client.messages.count_tokens(
        model=asking.model, messages=user(FRANCE)["messages"], system="Be brief."
    ).input_tokens
    assert counted == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


@asking.check("stream")
def _():
    whole = client.messages.create(**user(FRANCE))
    with client.messages.stream(**user(FRANCE)) as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
        assert stream.get_final_message().stop_reason == whole.stop_reason


@asking.check("tools")
def _():
    asked = {**user("What is the weather in Paris?", 96), "tools": [TOOL], "tool_choice": {"type": "any"}}
    asked["tool_choice"]["disable_parallel_tool_use"] = True
    whole = client.messages.create(**asked)
    call = whole.content[-1]
    assert whole.stop_reason == "tool_use" and call.name == "weather" and set(call.input) == {"city"}
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert final.content[-1].input == call.input
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    said = [*asked["messages"], {"role": "assistant", "content": whole.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(model=asking.model, messages=said, tools=[TOOL], max_tokens=8).content


@asking.check("schema")
def _():
    shape = {"format": {"type": "json_schema", "schema": COLOUR}}
    answer = client.messages.create(**user("Which colour has the sky?", 32), output_config=shape)
    assert json.loads(answer.content[0].text)["colour"] in ("red", "green", "blue")


@asking.check("errors")
def _():
    refused(anthropic.NotFoundError, lambda: client.messages.create(**{**user(FRANCE), "model": "opus"}), "opus")
    refused(anthropic.BadRequestError, lambda: client.messages.create(**user(LONG)), "4096")


@asking.check("leaving")
def _():
    def begin():
        asked = user(STORY, 3000)
        stream = client.messages.create(**{**asked, "extra_body": {"logit_bias": ENDLESS}}, stream=True)
        for event in stream:
            if event.type == "content_block_delta":
                break
        return stream.close

    return asking.leave(begin)
