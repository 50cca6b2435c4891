"""/tokenize and /detokenize in the words of vLLM and of llama.cpp."""

from typing import Any

import pytest

from gadfly.api.tokenize import (
    DetokenizeCall,
    TokenizeCall,
    detokenized,
    read_detokenize,
    read_tokenize,
    tokenized,
)
from gadfly.conversation import ChatRequest, Message
from gadfly.errors import RequestError


@pytest.mark.parametrize(
    ("body", "call"),
    [
        ({"prompt": "Hi"}, TokenizeCall(None, "Hi")),
        ({"prompt": "Hi", "add_special_tokens": False}, TokenizeCall(None, "Hi", bos=False)),
        ({"prompt": "", "return_token_strs": True}, TokenizeCall(None, "", pieces=True)),
        ({"content": "Hi"}, TokenizeCall(None, "Hi", bos=False)),
        ({"content": "Hi", "add_special": True, "parse_special": False}, TokenizeCall(None, "Hi", special=False)),
        (
            {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
            TokenizeCall("m", ChatRequest((Message("user", "Hi"),))),
        ),
    ],
)
def test_tokenize(body: object, call: TokenizeCall) -> None:
    assert read_tokenize(body) == call


def test_what_comes_back() -> None:
    assert tokenized([1, 2], 8192) == {"count": 2, "max_model_len": 8192, "tokens": [1, 2]}
    assert tokenized([1], 8, ["a"])["token_strs"] == ["a"]
    assert detokenized("Hi") == {"prompt": "Hi", "content": "Hi"}


@pytest.mark.parametrize(("tokens", "ids"), [([], ()), ([5, 6], (5, 6))])
def test_detokenize(tokens: list[int], ids: tuple[int, ...]) -> None:
    assert read_detokenize({"model": "m", "tokens": tokens}) == DetokenizeCall("m", ids)


@pytest.mark.parametrize(
    ("read", "body", "parameter"),
    [
        (read_tokenize, {}, "prompt"),
        (read_tokenize, {"prompt": 5}, "prompt"),
        (read_tokenize, {"content": [5]}, "content"),
        (read_detokenize, {}, "tokens"),
        (read_detokenize, {"tokens": "Hi"}, "tokens"),
        (read_detokenize, {"tokens": [0.5]}, "tokens[0]"),
    ],
)
def test_what_is_refused_names_the_field(read: Any, body: object, parameter: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(body)
    assert caught.value.parameter == parameter
