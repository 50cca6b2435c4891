"""Grok-2's format, with vocabularies that are trained or made up here, against tiktoken, which it was made for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, trainers

from gadfly.errors import ModelFileError, UnsupportedError
from gadfly.text import Tokenizer
from gadfly.text.byte_pair import byte_text
from gadfly.text.tok_json import TokJson
from unit.text.conftest import PROSE

V1 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIALS = {"<|pad|>": 0, "<|separator|>": 1, "<|eos|>": 2, "<|reserved_3|>": 3, "<|control1|>": 4}
BYTES = [bytes([byte]) for byte in range(256)]

marks = st.sampled_from([*SPECIALS, "<|", "Human: ", "\n\n", " 's", "'LL", "12345", "    ", "horse", "é"])
texts = st.lists(st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF)) | marks).map("".join)


def entries(ids: Mapping[bytes, int]) -> list[dict[str, Any]]:
    return [{"bytes": list(data), "token": i} for data, i in ids.items()]


def statement(ranks: Mapping[bytes, int], specials: Mapping[str, int] = SPECIALS) -> dict[str, Any]:
    return {
        "regular_tokens": entries(ranks),
        "special_tokens": entries({text.encode(): i for text, i in specials.items()}),
        "word_split": "V1",
    }


def with_tiktoken(ranks: Mapping[bytes, int], specials: Mapping[str, int] = SPECIALS) -> tiktoken.Encoding:
    return tiktoken.Encoding("x", pat_str=V1, mergeable_ranks=dict(ranks), special_tokens=dict(specials))


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    """Trained, and its ids behind those of the special tokens."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(PROSE, trainer)
    bytes_of = {byte_text(data): data for data in BYTES}
    found = {
        b"".join(bytes_of[character] for character in token): i + len(SPECIALS)
        for token, i in library.get_vocab().items()
    }
    assert len(found) == 500
    return found


@pytest.fixture(scope="module")
def path(ranks: dict[bytes, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grok-2") / "tokenizer.tok.json"
    path.write_text(json.dumps(statement(ranks)))
    return path


@pytest.fixture(scope="module")
def read(path: Path) -> Tokenizer:
    return Tokenizer.from_file(path)


@given(text=texts)
def test_as_tiktoken(read: Tokenizer, ranks: dict[bytes, int], text: str) -> None:
    encoding = with_tiktoken(ranks)
    assert read.encode(text) == encoding.encode_ordinary(text)
    assert read.encode(text, special=True) == encoding.encode(text, allowed_special="all")
    assert read.decode(read.encode(text)) == text
    assert not set(read.encode(text)) & set(SPECIALS.values())


@settings(max_examples=200)
@given(data=st.data())
def test_any_vocabulary_merges_as_tiktoken(data: st.DataObject) -> None:
    """Tokens that no training would come up with, in any order, and some that merges do not lead to."""
    longer = data.draw(st.lists(st.text("ab ", min_size=2, max_size=6), unique=True, max_size=25))
    made = [token.encode() for token in longer] + [b"\xc3\xa4"]
    order = data.draw(st.permutations([*made, b"a", b"b", b" "]))
    ranks = {token: i + 5 for i, token in enumerate([*order, *(byte for byte in BYTES if byte not in order)])}
    codec = TokJson(statement(ranks)).byte_pair()
    text = data.draw(st.text("ab ä", max_size=30))
    assert codec.encode(text) == with_tiktoken(ranks).encode_ordinary(text)


def test_what_is_special(read: Tokenizer) -> None:
    assert dict(read.controls) == SPECIALS
    assert (read.bos, read.eos, read.stop_ids, read.adds_bos) == (None, 2, frozenset({1, 2}), False)
    assert read.vocab_size == 505
    ids = read.encode("Human: hi<|separator|>\n\n", special=True)
    assert ids.count(1) == 1
    assert read.decode(ids) == "Human: hi\n\n"
    assert [read.token_bytes(i) for i in (0, 1, 2)] == [b"", b"", b""]


def test_every_byte_comes_back(read: Tokenizer, ranks: dict[bytes, int]) -> None:
    assert all(read.token_bytes(i) == data for data, i in ranks.items())


def test_ids_may_have_gaps(tmp_path: Path) -> None:
    stated = statement({byte: i + 100 for i, byte in enumerate(BYTES)}) | {"vocab_size": 400}
    (tmp_path / "a").write_text(json.dumps(stated))
    tokenizer = Tokenizer.from_file(tmp_path / "a")
    assert tokenizer.vocab_size == 400
    assert tokenizer.encode("a") == [197]
    assert tokenizer.token_bytes(399) == b""


def test_another_pattern(read: Tokenizer, tmp_path: Path, ranks: dict[bytes, int]) -> None:
    (tmp_path / "a").write_text(json.dumps(statement(ranks) | {"pat_str": r"\w|\W"}))
    assert len(Tokenizer.from_file(tmp_path / "a").encode("the horse")) == 9
    (tmp_path / "a").write_text(json.dumps(statement(ranks) | {"pat_str": V1}))
    assert Tokenizer.from_file(tmp_path / "a").encode("the horse") == read.encode("the horse")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"word_split": "V2"}, "word_split is 'V2'; only 'V1' is supported"),
        ({"word_split": None}, "word_split is 'None'"),
        ({"regular_tokens": 5}, "not a sound tokenizer.tok.json"),
        ({"regular_tokens": [5]}, "not a sound tokenizer.tok.json"),
        ({"regular_tokens": []}, "the byte 0 is no token; expected all 256"),
        ({"regular_tokens": [{"bytes": [97]}]}, "not a sound tokenizer.tok.json: KeyError"),
        ({"regular_tokens": [{"bytes": [300], "token": 1}]}, "not a sound tokenizer.tok.json: ValueError"),
        ({"regular_tokens": [{"bytes": 10**12, "token": 1}]}, "token 1 has 0 bytes; expected 1 to 512"),
        ({"regular_tokens": [{"bytes": [97] * 513, "token": 1}]}, "token 1 has 513 bytes; expected 1 to 512"),
        ({"regular_tokens": [{"bytes": [97], "token": 2**60}]}, "ids below 1048576"),
        ({"regular_tokens": [{"bytes": [97], "token": True}]}, "token True has 1 bytes"),
        ({"regular_tokens": entries({byte: i for i, byte in enumerate(BYTES)})}, "the same id or the same bytes"),
        ({"special_tokens": [{"bytes": [255], "token": 1}]}, "not a sound tokenizer.tok.json: UnicodeDecodeError"),
        ({"special_tokens": entries({b"a": 0})}, "as is token"),
        ({"vocab_size": 300}, "vocab_size is 300, but the largest id 504"),
        ({"vocab_size": 2**40}, "vocab_size is 1099511627776, but"),
        ({"vocab_size": "505"}, "vocab_size is 505, but"),
        ({"pat_str": "("}, "pat_str is no pattern"),
        ({"pat_str": 5}, "pat_str is no pattern"),
        ({"pat_str": "a" * 5000}, "pat_str is no pattern"),
        ({"pat_str": r"\p{N}{1,3}+"}, "counts possessively"),
    ],
)
def test_lies(ranks: dict[bytes, int], changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.tok.json"
    path.write_text(json.dumps(statement(ranks) | changes))
    with pytest.raises(ModelFileError) as caught:
        Tokenizer.from_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_ways_to_split_words_are_not_supported(ranks: dict[bytes, int]) -> None:
    with pytest.raises(UnsupportedError, match="only 'V1'"):
        TokJson(statement(ranks) | {"word_split": "V2"})
