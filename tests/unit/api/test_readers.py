"""Whatever a client sends, a reader answers with a call or with a RequestError, never with anything else.

Arbitrary JSON rarely gets past the first field, so bodies that use everything are damaged in one place, too.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.api.anthropic_request import read_message
from gadfly.api.ollama_embed import read_ollama_embed
from gadfly.api.ollama_models import read_copy
from gadfly.api.ollama_request import read_ollama_chat, read_ollama_generate
from gadfly.api.openai_chat_request import read_chat
from gadfly.api.openai_completions import read_completion
from gadfly.api.openai_embeddings import read_embeddings
from gadfly.api.openai_responses_request import read_response
from gadfly.api.tokenize import read_detokenize, read_tokenize
from gadfly.errors import RequestError

FUNCTION = {"name": "look", "description": "Up.", "parameters": {"type": "object"}, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
SHARED = {
    "model": "m",
    "stream": True,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 5,
    "min_p": 0.1,
    "seed": 1,
    "stop": ["a", "b"],
    "persona": "gadfly",
    "wit": 0.5,
    "adapters": {"a": 0.5},
    "truncation": "auto",
    "chat_template_kwargs": {"a": [{"b": None}]},
}
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
BODIES: list[tuple[Callable[[object], object], dict[str, Any]]] = [
    (
        read_chat,
        {
            **SHARED,
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": [CALL]},
                {"role": "tool", "content": "Blue.", "tool_call_id": "c", "name": "look"},
            ],
            "max_completion_tokens": 5,
            "n": 2,
            "logit_bias": {"5": -100},
            "logprobs": True,
            "top_logprobs": 2,
            "tools": [TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "look"}}]},
            },
            "parallel_tool_calls": False,
            "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            "stream_options": {"include_usage": True},
            "reasoning_effort": "low",
        },
    ),
    (
        read_completion,
        {
            **SHARED,
            "prompt": ["a", [1, 2]],
            "max_tokens": 5,
            "echo": True,
            "logprobs": 2,
            "n": 2,
            "best_of": 2,
            "suffix": "",
            "grammar": {"syntax": "lark", "definition": "start: /a/"},
            "stream_options": {"include_usage": True},
        },
    ),
    (
        read_response,
        {
            **SHARED,
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "content": []},
                {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "Blue."}]},
            ],
            "instructions": "Be brief.",
            "previous_response_id": "resp_0",
            "max_output_tokens": 5,
            "include": ["message.output_text.logprobs"],
            "top_logprobs": 2,
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low"},
            "store": True,
            "text": {"format": SCHEMA},
            "tools": [{"type": "function", **FUNCTION}, {"type": "web_search"}],
            "tool_choice": {"type": "function", "name": "look"},
        },
    ),
    (read_embeddings, {"model": "m", "input": ["a", [1]], "encoding_format": "base64", "dimensions": 2}),
    (
        read_message,
        {
            **SHARED,
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm.", "signature": ""},
                        {"type": "tool_use", "id": "c", "name": "look", "input": {"at": "sky"}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "Blue."}]},
                        {"type": "document", "source": {"type": "text", "data": "Paper."}},
                    ],
                },
            ],
            "max_tokens": 5,
            "stop_sequences": ["a"],
            "tools": [{"name": "look", "description": "Up.", "input_schema": {"type": "object"}, "strict": True}],
            "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 5},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        },
    ),
    (
        read_ollama_chat,
        {
            **SHARED,
            "messages": [
                {"role": "user", "content": "Hi", "images": []},
                {"role": "assistant", "thinking": "Hm.", "tool_calls": [{"function": {"name": "a", "arguments": {}}}]},
                {"role": "tool", "content": "Blue.", "tool_name": "a"},
            ],
            "tools": [TOOL],
            "options": {"num_predict": 5, "repeat_penalty": 1.1, "repeat_last_n": 64, "stop": ["a"]},
            "format": {"type": "object"},
            "keep_alive": "5m",
            "think": "low",
            "logprobs": True,
            "top_logprobs": 2,
        },
    ),
    (
        read_ollama_generate,
        {"model": "m", "prompt": "Hi", "system": "Be brief.", "raw": False, "think": True, "format": "json"},
    ),
    (read_ollama_embed, {"model": "m", "input": ["a"], "truncate": True, "dimensions": 2, "keep_alive": -1}),
    (read_copy, {"source": "a", "destination": "b"}),
    (read_tokenize, {"model": "m", "content": "Hi", "add_special": True, "parse_special": True, "with_pieces": True}),
    (read_detokenize, {"model": "m", "tokens": [1, 2]}),
]
READERS = pytest.mark.parametrize(("read", "body"), BODIES, ids=[read.__name__ for read, _ in BODIES])

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())  # half characters included
    | st.sampled_from([-1, 0, 1, 2**63, 10**400, "", "a", "text", "function", "required", "user", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a value, but for the whole."""
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield (*path, key)
        yield from places(inner, (*path, key))


def check(read: Callable[[object], object], body: object) -> None:
    try:
        read(body)
    except RequestError as error:
        message = str(error)
        assert message and "\n" not in message and len(message) < 1000
        assert error.parameter is None or error.parameter in message


@READERS
def test_everything_at_once_is_understood(read: Callable[[object], object], body: object) -> None:
    before = copy.deepcopy(body)
    read(body)
    assert body == before


@pytest.mark.parametrize("read", [read for read, _ in BODIES])
@given(value=anything)
def test_anything_is_read_or_refused(read: Callable[[object], object], value: object) -> None:
    check(read, value)


@READERS
@given(data=st.data())
def test_damage_in_one_place_is_read_or_refused(
    read: Callable[[object], object], body: dict[str, Any], data: st.DataObject
) -> None:
    damaged: Any = copy.deepcopy(body)
    *path, last = data.draw(st.sampled_from(list(places(body))))
    inner = damaged
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(anything)
    check(read, damaged)
