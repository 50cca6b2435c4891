"""Open WebUI in front of our server: started, asked through its own API, and ended.

It has no account and no network here, and is installed without torch: embeddings are ours. It takes its time to start.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from asking import COLOUR, ENDLESS, FRANCE, LONG, STORY, WEATHER, Asking, refused

asking = Asking()


@contextmanager
def started():
    """Its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as data:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)],
            stdout=sys.stderr,
            env={
                **os.environ,
                "DATA_DIR": data,
                "WEBUI_SECRET_KEY": "secret",
                "WEBUI_AUTH": "False",
                "OFFLINE_MODE": "True",
                "HF_HUB_OFFLINE": "1",
                "ENABLE_OLLAMA_API": "False",
                "OPENAI_API_BASE_URLS": f"{asking.url}/v1",
                "OPENAI_API_KEYS": "any",
                "RAG_EMBEDDING_ENGINE": "openai",
                "RAG_OPENAI_API_BASE_URL": f"{asking.url}/v1",
                "RAG_OPENAI_API_KEY": "any",
                "RAG_EMBEDDING_MODEL": asking.model,
            },
        )
        try:
            while not is_up(place := f"http://127.0.0.1:{port}"):
                assert process.poll() is None, "it has ended"
                time.sleep(0.5)
            yield place
        finally:
            process.terminate()
            process.wait(60)


def is_up(place):
    try:
        urllib.request.urlopen(f"{place}/health", timeout=60).close()
    except OSError:
        return False
    return True


def ask(path, body=None):
    """An answer to be read."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(f"{place}{path}", data, headers), timeout=300)


def chat(question, **more):
    messages = [{"role": "user", "content": question}]
    return {"model": asking.model, "messages": messages, "temperature": 0, "max_tokens": 24, **more}


def read(path, body=None):
    with ask(path, body) as answer:
        return json.load(answer)


def message(question, **more):
    return read("/api/chat/completions", chat(question, stream=False, **more))["choices"][0]["message"]


def chunks(answer):
    for line in answer:
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


with started() as place:
    token = ""
    token = read("/api/v1/auths/signin", {"email": "", "password": ""})["token"]

    @asking.check("models")
    def _():
        assert [model["id"] for model in read("/api/models")["data"]] == [asking.model]

    @asking.check("answer")
    def _():
        assert "Paris" in message(FRANCE)["content"]

    @asking.check("stream")
    def _():
        with ask("/api/chat/completions", chat(FRANCE, stream=True)) as answer:
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks(answer))
        assert text == message(FRANCE)["content"]

    @asking.check("tools")
    def _():
        tool = {"type": "function", "function": {"name": "weather", "parameters": WEATHER, "strict": True}}
        (call,) = message("Rome?", tools=[tool], tool_choice="required", parallel_tool_calls=False)["tool_calls"]
        assert "city" in json.loads(call["function"]["arguments"])

    @asking.check("schema")
    def _():
        wanted = {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR, "strict": True}}
        said = json.loads(message("The colour of grass?", response_format=wanted)["content"])
        assert said["colour"] in COLOUR["properties"]["colour"]["enum"]

    @asking.check("embeddings")
    def _():
        vectors = read("/api/embeddings", {"model": asking.model, "input": ["One.", "Two."]})["data"]
        assert len(vectors) == 2 and vectors[0]["embedding"] != vectors[1]["embedding"]

    @asking.check("errors")
    def _():
        error = refused(urllib.error.HTTPError, lambda: message(LONG), "400")
        assert "4096" in error.read().decode()

    @asking.check("leaving")
    def _():
        def begin():
            answer = ask("/api/chat/completions", chat(STORY, stream=True, max_tokens=3000, logit_bias=ENDLESS))
            next(chunks(answer))
            return answer.close

        return asking.leave(begin)
