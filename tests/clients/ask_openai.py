"""OpenAI's client for Python."""

import json

import openai
from asking import COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, Asking, refused

asking = Asking()
PLACE = {"base_url": f"{asking.url}/v1", "api_key": "any", "max_retries": 0, "timeout": 300}
client = openai.OpenAI(**PLACE, _strict_response_validation=True)
chats = client.chat.completions
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}


def user(text):
    return {"model": asking.model, "messages": [{"role": "user", "content": text}], "temperature": 0}


@asking.check("models")
def _():
    assert asking.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(asking.model).id == asking.model


@asking.check("answer")
def _():
    answer = chats.create(**user(FRANCE), max_tokens=24, logprobs=True, top_logprobs=2)
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(answer.choices[0].logprobs.content) > 0


@asking.check("stream")
def _():
    whole = chats.create(**user(FRANCE), max_tokens=24).choices[0].message.content
    with chats.stream(**user(FRANCE), max_tokens=24, stream_options={"include_usage": True}) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == whole
    assert final.usage.completion_tokens > 0


@asking.check("tools")
def _():
    asked = {**user("What is the weather in Paris?"), "tools": [TOOL], "tool_choice": "required", "max_tokens": 96}
    asked["parallel_tool_calls"] = False
    whole = chats.create(**asked)
    (call,) = whole.choices[0].message.tool_calls
    assert whole.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "weather" and set(json.loads(call.function.arguments)) == {"city"}
    with chats.stream(**asked) as stream:
        final = stream.get_final_completion()
    (again,) = final.choices[0].message.tool_calls
    assert again.function.arguments == call.function.arguments
    messages = [
        *asked["messages"],
        whole.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    assert chats.create(model=asking.model, messages=messages, tools=[TOOL], max_tokens=8).choices[0].message


@asking.check("schema")
def _():
    schema = {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR, "strict": True}}
    answer = chats.create(**user("Which colour has the sky?"), response_format=schema, max_tokens=32)
    assert json.loads(answer.choices[0].message.content)["colour"] in ("red", "green", "blue")


@asking.check("responses")
def _():
    first = client.responses.create(model=asking.model, input="My name is Ada.", max_output_tokens=16)
    asked = {"model": asking.model, "input": "Who am I?", "previous_response_id": first.id, "max_output_tokens": 16}
    events = list(client.responses.create(**asked, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    tool = {"type": "function", **TOOL["function"], "strict": False}
    called = client.responses.create(
        model=asking.model, input="Weather in Rome?", tools=[tool], tool_choice="required", max_output_tokens=96
    )
    assert "function_call" in [item.type for item in called.output]
    text = {"format": {"type": "json_schema", "name": "colour", "schema": COLOUR, "strict": True}}
    formed = client.responses.create(model=asking.model, input="A colour?", text=text, max_output_tokens=32)
    assert json.loads(formed.output_text)["colour"]


@asking.check("embeddings")
def _():
    asked = {"model": asking.model, "input": ["one", "two"]}
    strict = client.embeddings.create(**asked, encoding_format="float").data
    # By default it asks for base64, which its own strictness would not let it decode.
    usual = openai.OpenAI(**PLACE).embeddings.create(**asked).data
    assert len(strict) == len(usual) == 2
    assert all(abs(a - b) < 1e-6 for a, b in zip(strict[1].embedding, usual[1].embedding, strict=True))


@asking.check("errors")
def _():
    refused(openai.NotFoundError, lambda: chats.create(**{**user(FRANCE), "model": "gpt-99"}), "gpt-99")
    error = refused(openai.BadRequestError, lambda: chats.create(**user(LONG)), "4096")
    assert error.code == "context_length_exceeded"
    refused(openai.NotFoundError, lambda: client.responses.create(model="gpt-99", input="Hello"))


@asking.check("leaving")
def _():
    def begin():
        stream = chats.create(**user(STORY), max_tokens=3000, stream=True, logit_bias=ENDLESS)
        next(iter(stream))
        return stream.close

    return asking.leave(begin)
