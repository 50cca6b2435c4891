"""From any tokenizer's file through a GGUF file: the same ids, bytes and ends."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError, NotFoundError, UnsupportedError
from gadfly.text import Tokenizer
from gadfly.text.gguf_keys import gguf_keys
from gadfly.text.pre_tokenizers import PRE_TOKENIZERS
from gadfly.weights.gguf import GGUF
from gadfly.weights.gguf_writer import write_gguf
from unit.text.conftest import CONTROLS, PROSE, USER_DEFINED
from unit.text.test_tok_json import BYTES, SPECIALS, statement

MARKS = [*CONTROLS, *USER_DEFINED, *SPECIALS, "<sep>", "<mark>", "<s>", "▁", "  ", "12345", "e\u0301", "'LL", "🦟"]
texts = st.lists(st.text() | st.sampled_from(MARKS)).map("".join)


def through_gguf(path: Path, folder: Path) -> Tokenizer:
    write_gguf(folder / "through.gguf", gguf_keys(path), {})
    return Tokenizer.from_file(folder / "through.gguf")


def assert_the_same(ours: Tokenizer, theirs: Tokenizer) -> None:
    ids = range(ours.vocab_size)
    assert ours.vocab_size == theirs.vocab_size
    known = [i for i in ids if theirs.token_text(i) not in ("<unk>", "[UNK]")]  # what the unknown shows is no key
    assert [ours.token_bytes(i) for i in known] == [theirs.token_bytes(i) for i in known]
    assert [ours.token_text(i) for i in ids] == [theirs.token_text(i) for i in ids]
    assert dict(ours.controls) == dict(theirs.controls)
    assert (ours.bos, ours.eos, ours.stop_ids, ours.adds_bos) == (
        theirs.bos,
        theirs.eos,
        theirs.stop_ids,
        theirs.adds_bos,
    )


def pre_tokenizer(name: str) -> Any:
    """As a tokenizer.json has it."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = PRE_TOKENIZERS[name].cutter()
    return json.loads(library.to_str())["pre_tokenizer"]


@pytest.fixture(scope="module")
def files(
    trained: tokenizers.Tokenizer, sentence_piece_model: bytes, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One file of each kind, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("files")
    stated = json.loads(trained.to_str())
    contents: dict[str, dict[str, Any]] = {
        "json": {
            "tokenizer.json": stated,
            "tokenizer_config.json": {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<think>"},
            "generation_config.json": {"eos_token_id": [97, 502]},
        },
        "llama 3": {
            "tokenizer.json": stated
            | {
                "model": stated["model"] | {"ignore_merges": True},
                "pre_tokenizer": pre_tokenizer("llama-bpe"),
            },
            "tokenizer_config.json": {
                "bos_token": "<|im_start|>",
                "add_bos_token": True,
            },
        },
        "qwen 2": {
            "tokenizer.json": stated | {"normalizer": {"type": "NFC"}, "pre_tokenizer": pre_tokenizer("qwen2")},
        },
        "tok_json": {"tokenizer.tok.json": statement({byte: i + 5 for i, byte in enumerate([*BYTES, b"ab", b"the"])})},
        "sentence_piece": {
            "tokenizer.model": sentence_piece_model,
            "tokenizer_config.json": {"add_bos_token": True},
            "generation_config.json": {"eos_token_id": [2, 300]},
        },
        "sentence_piece and more": {
            "tokenizer.model": sentence_piece_model,
            "tokenizer_config.json": {
                "added_tokens_decoder": {
                    "1": {"content": "<s>", "special": True},
                    "350": {"content": "<turn>", "special": True},
                    "441": {"content": "<|end|>", "special": True},
                    "442": {"content": "<tool>", "special": False},
                }
            },
        },
    }
    paths = {}
    for kind, neighbours in contents.items():
        (folder / kind).mkdir()
        for name, content in neighbours.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / kind / name).write_bytes(data)
        paths[kind] = folder / kind / next(iter(neighbours))
    return paths


KINDS = ["json", "llama 3", "qwen 2", "tok_json", "sentence_piece", "sentence_piece and more"]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = files[request.param]
    return Tokenizer.from_file(path), through_gguf(path, tmp_path_factory.mktemp("through"))


@settings(max_examples=60)
@given(text=texts)
def test_the_same_ids(pair: tuple[Tokenizer, Tokenizer], text: str) -> None:
    original, through = pair
    assert through.encode(text) == original.encode(text)
    assert through.encode(text, special=True) == original.encode(text, special=True)
    ids = original.encode(text, special=True)
    assert through.decode(ids) == original.decode(ids)


def test_the_same_tokens(pair: tuple[Tokenizer, Tokenizer]) -> None:
    assert_the_same(*pair)


def test_what_the_keys_are(files: dict[str, Path]) -> None:
    keys = gguf_keys(files["json"], "{{ x }}")
    assert keys["tokenizer.ggml.model"] == "gpt2"
    assert keys["tokenizer.ggml.pre"] == "smollm"
    assert keys["tokenizer.ggml.eos_token_id"] == 502
    assert keys["tokenizer.ggml.eot_token_id"] == 97  # which no reader could know by its name
    assert keys["tokenizer.ggml.padding_token_id"] == 503
    assert keys["tokenizer.ggml.add_bos_token"] is False
    assert keys["tokenizer.chat_template"] == "{{ x }}"
    assert gguf_keys(files["llama 3"])["tokenizer.ggml.pre"] == "llama-bpe"
    assert gguf_keys(files["qwen 2"])["tokenizer.ggml.pre"] == "qwen2"
    keys = gguf_keys(files["tok_json"])
    assert keys["tokenizer.ggml.pre"] == "grok-2"
    assert keys["tokenizer.ggml.merges"] == ["a b"]
    assert (keys["tokenizer.ggml.eos_token_id"], keys["tokenizer.ggml.eot_token_id"]) == (2, 1)
    assert "tokenizer.ggml.bos_token_id" not in keys
    keys = gguf_keys(files["sentence_piece"])
    assert keys["tokenizer.ggml.model"] == "llama"
    assert (keys["tokenizer.ggml.add_space_prefix"], keys["tokenizer.ggml.add_bos_token"]) == (True, True)
    assert keys["tokenizer.ggml.unknown_token_id"] == 0


def test_added_tokens_of_a_sentence_piece_model(files: dict[str, Path]) -> None:
    tokenizer = Tokenizer.from_file(files["sentence_piece and more"])
    assert tokenizer.vocab_size == 443
    assert tokenizer.encode("<turn>", special=True) == [350]
    assert tokenizer.encode("a<|end|>", special=True)[-1] == 441
    assert 441 in tokenizer.stop_ids
    assert 442 in tokenizer.encode("a<tool>b")
    assert 440 not in tokenizer.encode("<unused 440>")


def test_a_gguf_file_gives_what_it_has(files: dict[str, Path], tmp_path: Path) -> None:
    keys = gguf_keys(files["json"], "{{ x }}")
    write_gguf(tmp_path / "a.gguf", {"general.architecture": "llama", **keys}, {})
    again = gguf_keys(tmp_path / "a.gguf")
    assert set(again) == set(keys)
    write_gguf(tmp_path / "b.gguf", {"general.architecture": "llama", **again}, {})
    assert (tmp_path / "b.gguf").read_bytes() == (tmp_path / "a.gguf").read_bytes()
    assert GGUF.open(tmp_path / "b.gguf").metadata["tokenizer.ggml.pre"] == "smollm"


def test_words_are_taken_whole_only_where_that_makes_a_difference(files: dict[str, Path], tmp_path: Path) -> None:
    stated = json.loads(files["json"].read_text())
    stated["model"]["ignore_merges"] = True  # the trained merges reach every token
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(stated))
    assert gguf_keys(path)["tokenizer.ggml.pre"] == "smollm"
    stated["model"]["merges"].pop()
    path.write_text(json.dumps(stated))
    with pytest.raises(UnsupportedError, match="it cuts words by"):
        gguf_keys(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "it normalises text by Lowercase"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}}, "it cuts words by"),
        (
            {
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [
                        {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False},
                        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
                    ],
                }
            },
            r"it cuts words by \('a',\), which GGUF has no name for",
        ),
        (
            {
                "pre_tokenizer": {
                    "type": "Sequence",
                    "pretokenizers": [
                        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                        {"type": "Digits", "individual_digits": True},
                    ],
                }
            },
            "it cuts words by .*ByteLevel",
        ),
    ],
)
def test_what_gguf_cannot_say(files: dict[str, Path], tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(files["json"].read_text()) | changes))
    Tokenizer.from_file(path)
    with pytest.raises(UnsupportedError, match=message) as caught:
        gguf_keys(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "unigram"}, "does not merge pairs"),
        ({"normalization_rule_name": "nmt_nfkc"}, "changes its text"),
        ({"remove_extra_whitespaces": True}, "changes its text"),
    ],
)
def test_pieces_that_gguf_cannot_hold(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    plain = {"model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PROSE), model_writer=model, vocab_size=100, minloglevel=2, **(plain | options)
    )
    (tmp_path / "tokenizer.model").write_bytes(model.getvalue())
    Tokenizer.from_file(tmp_path / "tokenizer.model")
    with pytest.raises(UnsupportedError, match=message):
        gguf_keys(tmp_path / "tokenizer.model")


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        gguf_keys(tmp_path / "missing")
    (tmp_path / "bad").write_bytes(b"garbage")
    with pytest.raises(ModelFileError, match="bad: not a SentencePiece model"):
        gguf_keys(tmp_path / "bad")


@pytest.mark.parametrize(
    "added", [5, {"x": {}}, {"1": {}}, {"1": 5}, {"99999999": {"content": "a"}}, {"-1": {"content": "a"}}]
)
def test_added_tokens_that_are_none(sentence_piece_model: bytes, tmp_path: Path, added: Any) -> None:
    (tmp_path / "tokenizer.model").write_bytes(sentence_piece_model)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    with pytest.raises(ModelFileError, match="added_tokens_decoder"):
        Tokenizer.from_file(tmp_path / "tokenizer.model")


@pytest.fixture(scope="session")
def grok_1_through(grok_1: Path, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return through_gguf(grok_1 / "tokenizer.model", tmp_path_factory.mktemp("grok-1"))


def test_grok_1_is_the_same(grok_1_tokenizer: Tokenizer, grok_1_through: Tokenizer) -> None:
    assert_the_same(grok_1_tokenizer, grok_1_through)


@settings(max_examples=200)
@given(text=st.lists(st.text() | st.sampled_from([*PROSE, "<|control1|>", "[BOS]", "[EOS]", "   "])).map("".join))
def test_grok_1_encodes_alike(grok_1_tokenizer: Tokenizer, grok_1_through: Tokenizer, text: str) -> None:
    ids = grok_1_tokenizer.encode(text)
    assert grok_1_through.encode(text) == ids
    assert grok_1_through.decode(ids) == grok_1_tokenizer.decode(ids)


def test_spaces_of_user_defined_pieces_are_plain_in_gguf_and_only_there(tmp_path: Path) -> None:
    """As llama.cpp writes and reads them: such a piece is looked for before spaces are replaced."""
    plain = {"model_type": "bpe", "normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    model, path = io.BytesIO(), tmp_path / "tokenizer.model"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PROSE),
        model_writer=model,
        vocab_size=440,
        byte_fallback=True,
        user_defined_symbols=["\u2581\u2581", "\n\n"],
        minloglevel=2,
        **plain,
    )
    path.write_bytes(model.getvalue())
    keys = gguf_keys(path)
    tokens = keys["tokenizer.ggml.tokens"]
    assert "  " in tokens and "\u2581\u2581" not in tokens and "\u2581" in "".join(tokens)
    ours, theirs = through_gguf(path, tmp_path), Tokenizer.from_file(path)
    for text in ("a  b", "   ", "a\n\n  b", " a", "\u2581\u2581"):
        assert ours.encode(text) == theirs.encode(text)
    assert len(theirs.encode("a  b")) < len(theirs.encode("a b")) + 2
