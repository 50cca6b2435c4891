"""The chat app with the default model, from its first question to the end of the server, however that comes."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat_page import ChatPage, text_of, until
from gadfly.hub.library import Library
from gadfly.settings import home
from serving import eventually

MODEL = "smollm2"
ENDLESS = {"logit_bias": {"2": -100}, "temperature": 0.5}  # an answer without the token that ends it
STORY = "Tell me a long story about a gadfly."


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server whose chats are in `folder`, killed if it has not ended behind."""
    model = Library(home()).resolve(MODEL)
    if model is None:
        pytest.skip("the default model is not here; run `make model`")
    command = [sys.executable, "-m", "gadfly", "serve", str(model), "--port", "0", "--context", "2048"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "GADFLY_HOME": str(folder)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a job may have it ignored
    )
    with process:
        try:
            assert process.stdout is not None
            lines = list(islice(iter(process.stdout.readline, ""), 2))
            assert "In your browser" in lines[1]
            yield re.search(r"http://\S+", lines[1])[0], process  # type: ignore[index]
        finally:
            process.kill()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatPage]:
    with running(tmp_path_factory.mktemp("home")) as (url, _):
        page = ChatPage(url)
        yield page
        page.client.close()


def whole(page: ChatPage, chat: str, node: int) -> dict[str, Any]:
    """A message, once it is finished."""

    def found() -> dict[str, Any]:
        return next(one for one in page.nodes(chat) if one["id"] == node)

    assert eventually(lambda: found()["state"] != "writing", 100_000)
    return found()


def begun(page: ChatPage, chat: str) -> int:
    """The number of a long answer that has some words already."""
    node = page.post(f"/chats/{chat}/messages", text=STORY, answer={"sampling": ENDLESS, "max_tokens": 1500})
    number = int(node["nodes"][1]["id"])
    with page.events(f"/chats/{chat}/events") as events:
        for _ in range(5):
            until(events, "delta")
    return number


def test_a_conversation(page: ChatPage) -> None:
    assert httpx2.get(str(page.client.base_url).replace("/app/api/", "/")).status_code == 200
    assert page.get("/session")["owner"] == ""
    chat = page.chat(wit=0)
    with page.events(f"/chats/{chat}/events") as events:
        question = page.post(
            f"/chats/{chat}/messages", text="What is the capital of France?", answer={"sampling": {"temperature": 0}}
        )
        heard = until(events, "finished")
    answer = heard[-1][1]["node"]
    assert "Paris" in answer["content"] and answer["state"] == "complete"
    assert text_of(heard) == answer["content"]
    assert answer["licence"] is not None or answer["model"]

    inside = page.get(f"/chats/{chat}/nodes/{answer['id']}/inside")
    assert "".join(token["text"] for token in inside["tokens"]).strip() == answer["content"]
    for token in inside["tokens"]:
        assert len(token["top"]) == 5 and token["logprob"] <= max(other["logprob"] for other in token["top"])
    prompt = "".join(run["text"] for run in inside["prompt"])
    assert prompt.endswith("What is the capital of France?<|im_end|>\n<|im_start|>assistant\n")

    again = {"sampling": {"temperature": 0}, "seed": answer["seed"]}
    parent = question["nodes"][0]["id"]
    same, other = page.post(f"/chats/{chat}/answers", parent=parent, variants=[again, {**again, "wit": 1}])["nodes"]
    assert whole(page, chat, same["id"])["content"] == answer["content"]
    assert whole(page, chat, other["id"])["wit"] == 1
    (branch,) = page.post(f"/chats/{chat}/answers", parent=parent, variants=[again], prefix="The capital of Norway")[
        "nodes"
    ]
    branch = whole(page, chat, branch["id"])
    assert branch["content"].startswith("The capital of Norway is Oslo")
    inside = page.get(f"/chats/{chat}/nodes/{branch['id']}/inside")
    assert inside["prompt"][-1]["text"].endswith("assistant\nThe capital of Norway")
    assert inside["start"] == len("The capital of Norway")

    page.post(f"/chats/{chat}/votes", winner=same["id"], loser=other["id"])
    assert page.get("/feedback")["pairs"][0]["because"] == "vote"
    assert page.get("/chats", query="norw")["chats"][0]["id"] == chat
    assert page.post(f"/chats/{chat}/title")["title"]
    assert len(page.post(f"/chats/{chat}/suggestions")["suggestions"]) <= 3
    fits = page.post(f"/chats/{chat}/measure", text="word " * 3000, parent=branch["id"])
    assert not fits["fits"] and fits["context"] == 2048
    assert "Oslo" in page.client.get(f"/chats/{chat}/export?format=markdown").text


def test_what_was_cut_off_goes_on_as_if_it_had_not_been(page: ChatPage) -> None:
    """Greedy, so both ways lead through the same tokens."""
    greedy = {"sampling": {"temperature": 0, "frequency_penalty": 0, "repetition_penalty": 1}}
    chat = page.chat(system="")
    text = "Count from one to ten, in words."
    asked, short = page.post(f"/chats/{chat}/messages", text=text, answer={**greedy, "max_tokens": 8})["nodes"]
    assert whole(page, chat, short["id"])["finish"] == "length"
    page.post(f"/chats/{chat}/answers/{short['id']}/continue")
    variants = [{**greedy, "max_tokens": 1024}]
    (long,) = page.post(f"/chats/{chat}/answers", parent=asked["id"], variants=variants)["nodes"]
    continued, long = whole(page, chat, short["id"]), whole(page, chat, long["id"])
    assert continued["content"] == long["content"]
    tokens = page.get(f"/chats/{chat}/nodes/{short['id']}/inside")["tokens"]
    assert "".join(token["text"] for token in tokens).strip() == long["content"].strip()


def test_two_tabs_and_one_that_comes_back(page: ChatPage) -> None:
    chat = page.chat(system="")
    number = begun(page, chat)
    with page.events(f"/chats/{chat}/events") as left, page.events(f"/chats/{chat}/events") as right:
        texts = []
        for events in (left, right):
            name, data = next(events)
            assert name == "snapshot"
            texts.append(data["nodes"][0]["content"])
            assert texts[-1]
        page.post(f"/chats/{chat}/answers/{number}/stop")
        for events, text in zip((left, right), texts, strict=True):
            heard = until(events, "finished")
            for name, data in heard:
                if name == "delta":
                    assert data["at"] == len(text.encode("utf-16-le")) // 2
                    text += data["text"]
            assert heard[-1][1]["node"]["content"] == text
            assert heard[-1][1]["node"]["state"] == "stopped"


def test_foreign_pages_are_refused(page: ChatPage) -> None:
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert page.client.get("/chats", headers=headers).status_code == 403
        assert page.client.post("/chats", headers=headers, json={}).status_code == 403


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_what_was_written_survives_the_server(tmp_path: Path, blow: signal.Signals) -> None:
    with running(tmp_path) as (url, process):
        page = ChatPage(url)
        chat = page.chat(system="")
        number = begun(page, chat)
        seen = next(one for one in page.nodes(chat) if one["id"] == number)["content"]
        kept = tmp_path / "chats.sqlite"
        assert kept.is_file()
        process.send_signal(blow)
        assert process.wait(120) == (130 if blow == signal.SIGINT else -9)
        page.client.close()
    with running(tmp_path) as (url, _):
        page = ChatPage(url)
        node = next(one for one in page.nodes(chat) if one["id"] == number)
        assert node["state"] == "interrupted"
        if blow == signal.SIGINT:
            assert node["content"].startswith(seen) and seen
        page.post(f"/chats/{chat}/answers/{number}/continue")
        assert eventually(lambda: len(page.nodes(chat)[1]["content"]) > len(node["content"]))
        assert page.nodes(chat)[1]["content"].startswith(node["content"])
        page.client.close()
