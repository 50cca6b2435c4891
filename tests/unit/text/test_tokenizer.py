"""What all tokenizers have in common, and the real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError, NotFoundError, RequestError, UnsupportedError
from gadfly.text import Tokenizer
from gadfly.weights.gguf_writer import write_gguf
from unit.text.conftest import pieces_as_metadata

GOLDEN = Path(__file__).parents[2] / "data" / "smollm2-exact.json"
MARKS = ["<|im_start|>", "<|im_end|>", "<s>", "</s>", "<mark>", "<|endoftext|>", "<|", "|>", "<", "im_end"]
NOT_IN_SMOLLM2 = set(bytes.fromhex("040613 14161d c0c1f1f2f5f6f7f8f9fafbfcfdfeff"))  # bytes that its vocabulary lacks
texts = st.lists(st.text() | st.sampled_from([*MARKS, "<sep>", "<think>", "    ", "\n\n", "1234", "🦟"])).map("".join)


@settings(max_examples=50)
@given(text=texts)
def test_plain_text_never_becomes_a_control_token(tokenizer: Tokenizer, text: str) -> None:
    assert not set(tokenizer.encode(text)) & set(tokenizer.controls.values())


@settings(max_examples=50)
@given(text=texts)
def test_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    # SentencePiece writes spaces as U+2581, and cannot tell them apart afterwards.
    assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " " if "<s>" in tokenizer.controls else "▁")


@settings(max_examples=30)
@given(runs=st.lists(texts))
def test_control_tokens_split_a_text(tokenizer: Tokenizer, runs: list[str]) -> None:
    mark, token = next(iter(tokenizer.controls.items()))
    runs = [run.replace("<", "") for run in runs]
    plain = [tokenizer.encode(run) for run in runs]
    expected = [i for ids in plain for i in [token, *ids]]
    assert tokenizer.encode("".join(mark + run for run in runs), special=True) == expected


def test_begin_of_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a", bos=True) == [tokenizer.bos, *tokenizer.encode("a")]
    assert tokenizer.encode("", bos=True) == [tokenizer.bos]
    assert tokenizer.encode("") == []


def test_bytes_and_texts_of_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.eos is not None
    assert tokenizer.token_bytes(tokenizer.eos) == b""
    assert tokenizer.token_text(tokenizer.eos) in ("<|im_end|>", "</s>")
    assert b"".join(map(tokenizer.token_bytes, tokenizer.encode("é 🦟\n"))).decode().strip(" ") == "é 🦟\n"


def test_wrong_requests(tokenizer: Tokenizer) -> None:
    size = tokenizer.vocab_size
    for ids in ([size], [-1], [0, 2**40]):
        with pytest.raises(RequestError, match=f"the vocabulary has {size} tokens"):
            tokenizer.decode(ids)
        with pytest.raises(RequestError):
            tokenizer.token_bytes(ids[-1])
    with pytest.raises(RequestError, match="not valid Unicode at character 1"):
        tokenizer.encode("a\ud800")


def test_stops(byte_pair_metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(byte_pair_metadata)
    assert {tokenizer.token_text(i) for i in tokenizer.stop_ids} == {"<|im_end|>", "<|endoftext|>"}
    eot = tokenizer.encode("é")[0]
    tokenizer = Tokenizer.from_gguf(byte_pair_metadata | {"tokenizer.ggml.eot_token_id": eot})
    assert eot in tokenizer.stop_ids


def test_an_end_of_turn_is_a_control_token_whatever_the_file_calls_it(byte_pair_metadata: dict[str, Any]) -> None:
    kinds = np.array(byte_pair_metadata["tokenizer.ggml.token_type"])
    end = byte_pair_metadata["tokenizer.ggml.tokens"].index("<|im_end|>")
    for kind in (1, 4):
        kinds[end] = kind
        tokenizer = Tokenizer.from_gguf(byte_pair_metadata | {"tokenizer.ggml.token_type": kinds})
        assert end not in tokenizer.encode("<|im_end|>")
        assert tokenizer.encode("<|im_end|>", special=True) == [end]
        assert end in tokenizer.stop_ids


def test_who_wants_a_beginning(byte_pair_metadata: dict[str, Any], sentence_piece: Tokenizer) -> None:
    unsaid = {key: v for key, v in byte_pair_metadata.items() if key != "tokenizer.ggml.add_bos_token"}
    assert sentence_piece.adds_bos
    assert not Tokenizer.from_gguf(unsaid).adds_bos
    assert Tokenizer.from_gguf(unsaid | {"tokenizer.ggml.pre": "llama-bpe"}).adds_bos
    assert Tokenizer.from_gguf(unsaid | {"tokenizer.ggml.add_bos_token": True}).adds_bos
    nowhere = {"tokenizer.ggml.bos_token_id": 2**32 - 1, "tokenizer.ggml.add_bos_token": True}
    assert not Tokenizer.from_gguf(unsaid | nowhere).adds_bos


def test_files_are_told_apart_by_content(
    tmp_path: Path, byte_pair: Tokenizer, byte_pair_metadata: dict[str, Any], sentence_piece_model: bytes
) -> None:
    gguf = tmp_path / "model"
    write_gguf(gguf, byte_pair_metadata, {})
    assert Tokenizer.from_file(gguf).encode("the horse") == byte_pair.encode("the horse")
    model = tmp_path / "tokenizer"
    model.write_bytes(sentence_piece_model)
    library = sentencepiece.SentencePieceProcessor(model_proto=sentence_piece_model)
    tokenizer = Tokenizer.from_file(model)
    assert tokenizer.encode("the horse") == library.encode("the horse")
    assert (tokenizer.bos, tokenizer.eos, tokenizer.stop_ids, tokenizer.adds_bos) == (1, 2, frozenset({2}), False)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing: no such file"):
        Tokenizer.from_file(tmp_path / "missing")
    with pytest.raises(ModelFileError, match="cannot be read"):
        Tokenizer.from_file(tmp_path)
    path = tmp_path / "bad"
    for content in (
        b"",
        b"\0" * 100,
        b"garbage",
        b"{",
        b"{}",
        b"[]",
        b'{"model": 1}',
        b"{\xff}",
        b"GGUF",
        b"{" * 10**5,
    ):
        path.write_bytes(content)
        with pytest.raises(ModelFileError) as caught:
            Tokenizer.from_file(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_kinds_that_are_not_known(byte_pair_metadata: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="has no tokenizer"):
        Tokenizer.from_gguf({})
    with pytest.raises(UnsupportedError, match="'bert'"):
        Tokenizer.from_gguf({"tokenizer.ggml.model": "bert"})
    with pytest.raises(UnsupportedError, match="'viking'"):
        Tokenizer.from_gguf(byte_pair_metadata | {"tokenizer.ggml.pre": "viking"})


def test_golden_prompts_of_smollm2(smollm2: Tokenizer) -> None:
    for prompt in json.loads(GOLDEN.read_text())["prompts"]:
        assert smollm2.encode(prompt["rendered"], special=True) == prompt["prompt_ids"]
        assert smollm2.decode(prompt["tokens"]) == prompt["text"].replace("<|im_end|>", "")
    assert (smollm2.bos, smollm2.eos, smollm2.adds_bos, smollm2.vocab_size) == (1, 2, False, 49152)
    assert {smollm2.token_text(i) for i in smollm2.stop_ids} == {"<|endoftext|>", "<|im_end|>"}


@settings(max_examples=50)
@given(text=texts)
def test_text_comes_back_from_smollm2(smollm2: Tokenizer, text: str) -> None:
    ids = smollm2.encode(text)
    assert not set(ids) & set(range(17))
    if not set(text.encode()) & NOT_IN_SMOLLM2:
        assert smollm2.decode(ids) == text


@pytest.fixture(scope="session", params=["file", "metadata"])
def grok_1_either_way(request: pytest.FixtureRequest, grok_1: Path, grok_1_tokenizer: Tokenizer) -> Tokenizer:
    if request.param == "file":
        return grok_1_tokenizer
    library = sentencepiece.SentencePieceProcessor(model_file=str(grok_1 / "tokenizer.model"))
    user_defined = {library.id_to_piece(i) for i in range(4, 69)}
    return Tokenizer.from_gguf(pieces_as_metadata(library, user_defined))


def test_every_golden_text_of_grok_1(
    grok_1: Path, grok_1_either_way: Tokenizer, grok_1_cases: list[tuple[list[int], str]]
) -> None:
    cases = [json.loads(line) for line in (grok_1 / "expected.jsonl").read_text().splitlines()]
    assert len(cases) == 150
    for case in cases:
        assert grok_1_either_way.encode(case["text"]) == case["ids"]
        for token, piece in zip(case["ids"], case.get("pieces", ()), strict=False):
            assert grok_1_either_way.token_text(token) == piece
    for ids, text in grok_1_cases:
        assert grok_1_either_way.decode(ids) == text
    assert (grok_1_either_way.bos, grok_1_either_way.eos, grok_1_either_way.stop_ids) == (1, 2, frozenset({2}))
    assert dict(grok_1_either_way.controls) == {"[PAD]": 0, "[BOS]": 1, "[EOS]": 2}
