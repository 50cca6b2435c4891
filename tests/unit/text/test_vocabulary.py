"""Vocabularies that lie: always one line about what is wrong, never a crash."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from gadfly.errors import ModelFileError
from gadfly.text import Tokenizer

GGML = "tokenizer.ggml."
ALONE = {"token_type": None, "bos_token_id": None, "eos_token_id": None}  # nothing said but the tokens


def lie(metadata: dict[str, Any], **changes: Any) -> dict[str, Any]:
    changed = metadata | {GGML + key: value for key, value in changes.items()}
    return {key: value for key, value in changed.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": None}, "tokens is missing or empty"),
        ({"tokens": []}, "tokens is missing or empty"),
        ({"tokens": "abc"}, "expected an array of strings"),
        ({"tokens": ["a", 1]}, "expected an array of strings"),
        ({"tokens": np.arange(4)}, "expected an array of strings"),
        ({"tokens": ["a", "b", "a"], **ALONE}, "token 2 is 'a', as is token 0"),
        ({"tokens": ["a", ""], **ALONE}, "token 1 has 0 characters"),
        ({"tokens": ["a", "x" * 100_000], **ALONE}, "token 1 has 100000 characters"),
        ({"tokens": ["a", "\ud800"], **ALONE}, "not valid Unicode"),
        ({"token_type": np.array([1, 2])}, "token_type has 2 numbers"),
        ({"token_type": ["a"]}, "expected an array of integers"),
        ({"token_type": np.zeros(3)}, "expected an array of integers"),
        ({"token_type": 1}, "expected an array of integers"),
        ({"bos_token_id": 10**6}, "bos_token_id is 1000000; expected a token id below"),
        ({"eos_token_id": -2}, "eos_token_id is -2; expected a token id below"),
        ({"eot_token_id": 1.5}, "eot_token_id is 1.5; expected a token id below"),
        ({"eom_token_id": True}, "eom_token_id is True; expected a token id below"),
        ({"add_bos_token": 1}, "add_bos_token is 1; expected true or false"),
        ({"model": 7}, "model is 7; expected a string"),
    ],
)
def test_lies_of_any_kind(byte_pair_metadata: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    refused(lie(byte_pair_metadata, **changes), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"merges": None}, "merges is missing"),
        ({"merges": "t h"}, "expected an array of strings"),
        ({"merges": ["th"]}, "merge 0 is 'th'; expected two tokens"),
        ({"merges": ["t h", "a b c"]}, "merge 1 is 'a b c'; expected two tokens"),
        ({"merges": ["t nowhere"]}, "merge 0 is about 'nowhere'"),
        ({"merges": ["é é"]}, "merge 0 is about"),
        ({"merges": ["t "]}, "merge 0 is about ''"),
        ({"pre": 3}, "pre is 3; expected a string"),
    ],
)
def test_lies_about_merges(byte_pair_metadata: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    refused(lie(byte_pair_metadata, **changes), message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, "scores is missing"),
        ({"scores": np.zeros(3)}, "scores has 3 numbers"),
        ({"scores": ["a"]}, "expected an array of numbers"),
        ({"scores": np.full(440, np.nan)}, "not finite"),
        ({"unknown_token_id": 10**6}, "unknown_token_id is 1000000"),
        ({"add_space_prefix": "yes"}, "add_space_prefix is 'yes'; expected true or false"),
        ({"token_type": np.ones(440, np.int32), "unknown_token_id": None}, "0 unknown tokens"),
        ({"token_type": np.full(440, 2, np.int32)}, "440 unknown tokens"),
        ({"token_type": np.array([2] + [6] * 439)}, "not a SentencePiece model"),
    ],
)
def test_lies_about_pieces(sentence_piece_metadata: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    refused(lie(sentence_piece_metadata, **changes), message)


def refused(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_gguf(metadata)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("pre", ["smollm", "llama-bpe"])  # the second looks words up before it merges
def test_a_merge_cannot_make_a_control_token(pre: str) -> None:
    tokens = [*pre_tokenizers.ByteLevel.alphabet(), "ho", "hor", "hors", "horse"]
    metadata = {
        GGML + "model": "gpt2",
        GGML + "pre": pre,
        GGML + "tokens": tokens,
        GGML + "token_type": np.array([1] * (len(tokens) - 1) + [3]),
        GGML + "merges": ["h o", "ho r", "hor s", "hors e"],
    }
    tokenizer = Tokenizer.from_gguf(metadata)
    assert list(map(tokenizer.token_text, tokenizer.encode("horse"))) == ["hors", "e"]
    assert tokenizer.encode("horse", special=True) == [tokens.index("horse")]


values = st.none() | st.booleans() | st.integers(-5, 600) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
arrays = st.lists(st.sampled_from(["a", "b", "ab", "a b", "", " ", "<0x41>", "</s>", "é"]), max_size=6) | st.lists(
    st.integers(-1, 7), max_size=6
).map(np.array)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["gpt2", "llama"]),
    st.dictionaries(
        st.sampled_from(["pre", "tokens", "scores", "token_type", "merges", "eos_token_id", "unknown_token_id"]),
        values | arrays,
    ),
)
def test_random_claims(kind: str, claims: dict[str, Any]) -> None:
    metadata = {GGML + key: value for key, value in claims.items()} | {GGML + "model": kind}
    try:
        tokenizer = Tokenizer.from_gguf(metadata)
    except ModelFileError as error:
        assert "\n" not in str(error)
    else:
        tokenizer.decode(tokenizer.encode("ab </s> é", special=True))
