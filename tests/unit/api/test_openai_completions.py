"""Completions: prompts of every shape, and log probabilities in the arrays that lm-eval reads."""

import pytest
from openai.types import Completion

from gadfly.api.answer import collect
from gadfly.api.openai_completions import CompletionStream, completion, read_completion
from gadfly.conversation import Finished, TextDelta, TokenLogprob
from gadfly.errors import RequestError
from wire import CUT, HALF, HI, LIKELY, SHORT, STAMP, USAGE, strict


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("Once", ["Once"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [(1, 2)]),
        ([[1, 2], [3]], [(1, 2), (3,)]),
        (["a", [1]], ["a", (1,)]),
    ],
)
def test_prompts(prompt: object, read: list[object]) -> None:
    call = read_completion({"prompt": prompt})
    assert [request.prompt for request in call.requests] == read
    assert all(request.max_tokens == 16 and request.sampling is None for request in call.requests)


def test_what_may_be_asked() -> None:
    body = {
        "model": "m",
        "prompt": "Once",
        "max_tokens": 0,
        "echo": True,
        "logprobs": 5,
        "n": 2,
        "best_of": 2,
        "stop": "\n",
        "temperature": 0,
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
        "truncation": "auto",
        "ignore_eos": True,
        "regex": "[a-z]+",
        "user": "unknown fields are fine",
    }
    call = read_completion(body)
    (request,) = call.requests
    assert (call.model, call.stream, call.include_usage) == ("m", True, True)
    assert (request.max_tokens, request.echo, request.logprobs, request.n) == (0, True, 5, 2)
    assert (request.stop, request.truncate, request.ignore_eos) == (("\n",), True, True)
    assert request.sampling is not None and (request.sampling.temperature, request.sampling.seed) == (0, 7)
    assert request.format is not None


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt[1]"),
        ({"prompt": [1, -1]}, "prompt[1]"),
        ({"prompt": [True]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": ["a", "\ud800"]}, "prompt[1]"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "a", "max_tokens": "1"}, "max_tokens"),
        ({"prompt": "a", "logprobs": True}, "logprobs"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": "a", "n": 17}, "n"),
        ({"prompt": "a", "best_of": 3}, "best_of"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "echo": 1}, "echo"),
    ],
)
def test_what_is_refused_names_the_field(body: object, parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_completion(body)
    assert caught.value.parameter == parameter
    assert str(caught.value).startswith(parameter)


def test_a_prompt_that_is_echoed_begins_without_a_log_probability() -> None:
    first = TokenLogprob(1, "A", b"A", None)
    events = [TextDelta("AHi", (first, HI)), TextDelta("", (HALF,)), Finished("length", USAGE)]
    body = completion([collect(events)], 1, STAMP)
    assert body["choices"][0]["logprobs"] == {
        "tokens": ["A", "Hi", "bytes:\\xc3"],
        "token_logprobs": [None, -0.5, -0.25],
        "top_logprobs": [None, {"Hi": -0.5, "Yo": -1.5}, {"!": -9999.0, "bytes:\\xc3": -0.25}],
        "text_offset": [0, 1, 3],
    }


def test_offsets_go_on_from_chunk_to_chunk() -> None:
    stream = CompletionStream(STAMP)
    chunks = [each for event in LIKELY for each in stream.events(event)]
    tables = [each["choices"][0]["logprobs"] for each in chunks]
    assert [table and table["text_offset"] for table in tables] == [[0], [2], None]


def test_a_character_of_several_tokens_is_one_character() -> None:
    parts = [TokenLogprob(i, "�", bytes([byte]), -1.0) for i, byte in enumerate("é".encode())]
    answer = collect([TextDelta("Hiéé", (HI, *parts, *parts)), Finished("stop", USAGE)])
    assert completion([answer], 1, STAMP)["choices"][0]["logprobs"]["text_offset"] == [0, 2, 2, 3, 3]


def test_a_stream_of_two_prompts_with_two_answers_each() -> None:
    stream = CompletionStream(STAMP, prompts=2, n=2, include_usage=True)
    chunks = [each for choice in range(4) for event in SHORT for each in stream.events(event, choice)]
    assert [each["choices"][0]["index"] for each in chunks[:-1]] == [choice for choice in range(4) for _ in range(3)]
    assert chunks[2]["choices"][0] == {"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}
    assert all(each["usage"] is None for each in chunks[:-1])
    assert chunks[-1]["choices"] == []
    usage = chunks[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (18, 20, 38)
    assert completion([collect(SHORT)] * 4, 2, STAMP)["usage"] == usage


@pytest.mark.parametrize("events", [SHORT, CUT, LIKELY])
def test_the_sdk_finds_nothing_wrong(events: list[TextDelta | Finished]) -> None:
    body = strict(Completion, completion([collect(events)], 1, STAMP))
    assert body.object == "text_completion" and body.choices[0].text == collect(events).text
    stream = CompletionStream(STAMP)
    for event in events[:-1]:
        for each in stream.events(event):
            each["choices"][0]["finish_reason"] = "stop"  # which the SDK's type demands of every chunk
            strict(Completion, each)
