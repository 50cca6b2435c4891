import ctypes
from random import Random
from typing import Any

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from tokenizers import pre_tokenizers

from gadfly.text import Tokenizer
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS

marks = st.sampled_from(["<|im_start|>", "<|im_end|>", "<think>", "</think>", "    ", "12345", "٣½", " 's", "'LL"])
texts = st.lists(st.text() | marks).map("".join)


@given(text=texts)
def test_special_text_as_hugging_face(byte_pair: Tokenizer, trained: tokenizers.Tokenizer, text: str) -> None:
    assert byte_pair.encode(text, special=True) == trained.encode(text, add_special_tokens=False).ids


@given(text=texts)
def test_plain_text_as_hugging_face(byte_pair: Tokenizer, trained: tokenizers.Tokenizer, text: str) -> None:
    trained.encode_special_tokens = True
    try:
        expected = trained.encode(text, add_special_tokens=False).ids
    finally:
        trained.encode_special_tokens = False
    assert byte_pair.encode(text) == expected


@given(st.data())
def test_decodes_as_hugging_face(byte_pair: Tokenizer, trained: tokenizers.Tokenizer, data: st.DataObject) -> None:
    text = data.draw(texts)
    ids = byte_pair.encode(text, special=True)
    assert byte_pair.decode(ids) == trained.decode(ids, skip_special_tokens=True)


# Where each pre-tokenizer cuts: digits, contractions, punctuation before letters, newlines, mixed case.
@pytest.mark.parametrize(
    ("pre", "words"),
    [
        ("smollm", ["a", "1", "2", "3", "4", " b", "'ll", "'", "LL", "!!", "\n", "\n", "c"]),
        ("starcoder", ["a", "1", "2", "3", "4", " b", "'ll", "'", "LL", "!!", "\n", "\n", "c"]),
        ("gpt-2", ["a", "1234", " b", "'ll", "'", "LL", "!!", "\n", "\n", "c"]),
        ("gpt2", ["a", "1234", " b", "'ll", "'", "LL", "!!", "\n", "\n", "c"]),
        ("llama-bpe", ["a", "123", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("llama3", ["a", "123", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("llama-v3", ["a", "123", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("qwen2", ["a", "1", "2", "3", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("grok-2", ["a", "1", "2", "3", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("dbrx", ["a", "123", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("gpt-4o", ["a", "123", "4", " b'll", "'LL", "!!\n\n", "c"]),
        ("llama4", ["a", "123", "4", " b'll", "'LL", "!!\n\n", "c"]),
        ("tekken", ["a", "1", "2", "3", "4", " b", "'ll", "'LL", "!!\n\n", "c"]),
        ("default", ["a", "123", "4", " b", "'", "ll", "'", "LL", "!!", "\n", "\n", "c"]),
    ],
)
def test_where_words_end(pre: str, words: list[str]) -> None:
    assert cut(pre, "a1234 b'll'LL!!\n\nc") == words


@pytest.mark.parametrize(
    ("pre", "words"),
    [
        ("tekken", ["foo", "Bar", ".Baz", "/QUX", "//\n/"]),
        ("gpt-4o", ["foo", "Bar", ".Baz", "/QUX", "//\n/"]),
        ("llama-bpe", ["fooBar", ".Baz", "/QUX", "//\n", "/"]),
    ],
)
def test_where_names_end(pre: str, words: list[str]) -> None:
    assert cut(pre, "fooBar.Baz/QUX//\n/") == words


def test_a_whole_word_needs_no_merges() -> None:
    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": [*characters, "word"],
        "tokenizer.ggml.merges": [],
    }
    assert len(Tokenizer.from_gguf(metadata | {"tokenizer.ggml.pre": "llama-bpe"}).encode("word")) == 1
    assert len(Tokenizer.from_gguf(metadata | {"tokenizer.ggml.pre": "qwen2"}).encode("word")) == 4


def test_qwen_composes_characters() -> None:
    assert cut("qwen2", "e\u0301") == ["é"]
    assert "".join(cut("llama-bpe", "e\u0301")) == "e\u0301"


def cut(pre: str, text: str) -> list[str]:
    """The words of a text, seen through a vocabulary in which everything that is not cut apart merges."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = dict.fromkeys(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for whole in (level.pre_tokenize_str(text)[0][0], level.pre_tokenize_str("é")[0][0]):
        for length in range(2, len(whole) + 1):
            for start in range(len(whole) - length + 1):
                joined = whole[start : start + length]
                tokens[joined] = None
                merges += [f"{joined[:i]} {joined[i:]}" for i in range(1, length)]
    tokenizer = Tokenizer.from_gguf(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": list(tokens),
            "tokenizer.ggml.merges": merges,
        }
    )
    return [tokenizer.decode([i]) for i in tokenizer.encode(text)]


def test_the_pattern_of_gpt_4o_is_the_one_of_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: {})
    assert PRE_TOKENIZERS["gpt-4o"].patterns == (openai_public.o200k_base()["pat_str"],)


class InUse(ctypes.Structure):
    """Of the C library: malloc.h has seven fields before this one and two behind."""

    _fields_ = (("before", ctypes.c_size_t * 7), ("uordblks", ctypes.c_size_t), ("behind", ctypes.c_size_t * 2))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="the C library does not count")
def test_a_tokenizer_leaves_nothing_in_threads_that_have_used_it(byte_pair_metadata: dict[str, Any]) -> None:
    """Nonsense of strangers, 200 letters a word, of which the library would keep a kilobyte and more."""
    library, letters = ctypes.CDLL(None), Random(0)
    library.mallinfo2.restype = InUse

    def encode() -> None:
        tokenizer = Tokenizer.from_gguf(byte_pair_metadata)
        for _ in range(100):
            tokenizer.encode(" " + "".join(letters.choices("abcdefghij", k=200)))

    encode()
    before = library.mallinfo2().uordblks
    for _ in range(10):
        encode()
    assert library.mallinfo2().uordblks - before < 10 * 100 * 200
