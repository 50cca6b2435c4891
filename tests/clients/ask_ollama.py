"""Ollama's client for Python."""

import json

import ollama
from asking import COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, Asking, refused

asking = Asking()
client = ollama.Client(host=asking.url, timeout=300)
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": WEATHER}}


def user(text, length=24):
    options = {"temperature": 0, "num_predict": length}
    return {"model": asking.model, "messages": [{"role": "user", "content": text}], "options": options}


@asking.check("models")
def _():
    assert asking.model in [model.model for model in client.list().models]
    assert client.show(asking.model).details is not None


@asking.check("answer")
def _():
    assert "Paris" in client.chat(**user(FRANCE)).message.content
    assert client.generate(asking.model, "Once upon a time", options={"num_predict": 8}).response


@asking.check("stream")
def _():
    pieces = list(client.chat(**user(FRANCE), stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == client.chat(**user(FRANCE)).message.content
    assert pieces[-1].done and pieces[-1].eval_count > 0


@asking.check("tools")
def _():
    # Ollama's API has no tool_choice: whether it calls is up to the model, and a small one may not.
    answer = client.chat(**user("What is the weather in Paris?", 64), tools=[TOOL])
    for call in answer.message.tool_calls or ():
        assert call.function.name == "weather"
    return "called" if answer.message.tool_calls else "accepted; the model did not call"


@asking.check("schema")
def _():
    answer = client.chat(**user("Which colour has the sky?", 32), format=COLOUR)
    assert json.loads(answer.message.content)["colour"] in ("red", "green", "blue")


@asking.check("embeddings")
def _():
    assert len(client.embed(asking.model, ["one", "two"]).embeddings) == 2


@asking.check("errors")
def _():
    error = refused(ollama.ResponseError, lambda: client.chat(**{**user(FRANCE), "model": "llama99"}), "llama99")
    assert error.status_code == 404
    error = refused(ollama.ResponseError, lambda: client.chat(**user(LONG)), "4096")
    assert error.status_code == 400


@asking.check("leaving")
def _():
    def begin():
        asked = user(STORY, 3000)
        asked["options"]["logit_bias"] = ENDLESS
        stream = client.chat(**asked, stream=True)
        next(stream)
        return stream.close

    return asking.leave(begin)
