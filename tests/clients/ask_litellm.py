"""LiteLLM, which translates between dialects: it asks us in OpenAI's, Anthropic's and Ollama's."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it fetches a price list otherwise, when it is imported

import litellm
from asking import COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, Asking, refused

asking = Asking()
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}
PLACES = {"openai": f"{asking.url}/v1", "anthropic": asking.url, "ollama_chat": asking.url}


def ask(text, provider="openai", model=asking.model, **options):
    options = {"max_tokens": 24, "temperature": 0, "timeout": 300, "num_retries": 0, **options}
    messages = [{"role": "user", "content": text}]
    place = {"api_base": PLACES[provider], "api_key": "any"}
    return litellm.completion(model=f"{provider}/{model}", messages=messages, **place, **options)


@asking.check("answer")
def _():
    for provider in PLACES:
        assert "Paris" in ask(FRANCE, provider).choices[0].message.content, provider


@asking.check("stream")
def _():
    for provider in PLACES:
        pieces = [piece.choices[0].delta.content or "" for piece in ask(FRANCE, provider, stream=True)]
        assert "".join(pieces) == ask(FRANCE, provider).choices[0].message.content, provider


@asking.check("tools")
def _():
    for provider in ("openai", "anthropic"):
        answer = ask("Weather in Paris?", provider, tools=[TOOL], tool_choice="required", max_tokens=96)
        function = answer.choices[0].message.tool_calls[0].function
        assert function.name == "weather" and set(json.loads(function.arguments)) == {"city"}, provider


@asking.check("schema")
def _():
    schema = {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR, "strict": True}}
    for provider in ("openai", "ollama_chat"):
        answer = ask("Which colour has the sky?", provider, response_format=schema, max_tokens=32)
        assert json.loads(answer.choices[0].message.content)["colour"], provider


@asking.check("embeddings")
def _():
    place = {"api_base": PLACES["openai"], "api_key": "any"}
    assert len(litellm.embedding(model=f"openai/{asking.model}", input=["one", "two"], **place).data) == 2


@asking.check("errors")
def _():
    for provider in ("openai", "anthropic"):
        refused(litellm.NotFoundError, lambda provider=provider: ask(FRANCE, provider, "gpt-99"), "gpt-99")
        refused(litellm.ContextWindowExceededError, lambda provider=provider: ask(LONG, provider), "4096")


@asking.check("leaving")
def _():
    def begin():
        stream = ask(STORY, stream=True, max_tokens=3000, logit_bias=ENDLESS)
        next(iter(stream))
        return stream.completion_stream.close

    return asking.leave(begin)
