from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.text import Tokenizer

texts = st.lists(st.text() | st.sampled_from(["<sep>", "\n\n", "<mark>", "<s>", "▁", "  ", "<0x41>"])).map("".join)


@pytest.fixture(scope="module")
def library(sentence_piece_model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=sentence_piece_model)


@given(text=texts)
def test_encodes_as_the_original_model(
    sentence_piece: Tokenizer, library: sentencepiece.SentencePieceProcessor, text: str
) -> None:
    assert sentence_piece.encode(text) == library.encode(text)


@given(st.data())
def test_decodes_as_the_original_model(
    sentence_piece: Tokenizer, library: sentencepiece.SentencePieceProcessor, data: st.DataObject
) -> None:
    known = [i for i in range(sentence_piece.vocab_size) if not library.is_unknown(i)]  # its surface is no GGUF key
    ids = data.draw(st.lists(st.sampled_from(known)))
    assert sentence_piece.decode(ids) == library.decode(ids)


def test_no_space_in_front(sentence_piece_metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(sentence_piece_metadata | {"tokenizer.ggml.add_space_prefix": False})
    for text in ("the horse", " the horse", "\n"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert not tokenizer.token_text(tokenizer.encode("the horse")[0]).startswith("▁")


def test_user_defined_pieces_always_match(sentence_piece: Tokenizer) -> None:
    ids = sentence_piece.encode("a<sep>b")
    assert "<sep>" in map(sentence_piece.token_text, ids)
    assert "<mark>" not in map(sentence_piece.token_text, sentence_piece.encode("a<mark>b"))
    assert "<mark>" in map(sentence_piece.token_text, sentence_piece.encode("a<mark>b", special=True))


def test_without_bytes_the_unknown_is_unknown(sentence_piece_metadata: dict[str, Any]) -> None:
    kinds = sentence_piece_metadata["tokenizer.ggml.token_type"]
    keep = np.flatnonzero(kinds != 6)
    tokens = sentence_piece_metadata["tokenizer.ggml.tokens"]
    tokenizer = Tokenizer.from_gguf(
        sentence_piece_metadata
        | {
            "tokenizer.ggml.tokens": [tokens[i] for i in keep],
            "tokenizer.ggml.token_type": kinds[keep],
            "tokenizer.ggml.scores": sentence_piece_metadata["tokenizer.ggml.scores"][keep],
        }
    )
    assert tokenizer.decode(tokenizer.encode("the 🦟")) == "the <unk>"


def test_the_unknown_may_be_named_by_its_id(sentence_piece: Tokenizer, sentence_piece_metadata: dict[str, Any]) -> None:
    kinds = np.where(sentence_piece_metadata["tokenizer.ggml.token_type"] == 2, 1, 0)
    kinds = sentence_piece_metadata["tokenizer.ggml.token_type"] - kinds
    metadata = sentence_piece_metadata | {"tokenizer.ggml.token_type": kinds}
    assert Tokenizer.from_gguf(metadata).encode("the horse") == sentence_piece.encode("the horse")
    del metadata["tokenizer.ggml.unknown_token_id"]
    with pytest.raises(ModelFileError, match="0 unknown tokens"):
        Tokenizer.from_gguf(metadata)


def test_spaces_behind_words_are_not_supported(tmp_path: Any) -> None:
    path = tmp_path / "suffix"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a horse is a horse of course"] * 9),
        model_prefix=str(path),
        vocab_size=16,
        treat_whitespace_as_suffix=True,
        minloglevel=2,
    )
    with pytest.raises(ModelFileError, match="space after a word"):
        Tokenizer.from_file(f"{path}.model")


def test_unigram_models_load(tmp_path: Any) -> None:
    path = tmp_path / "unigram"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a horse is a horse of course"] * 9),
        model_prefix=str(path),
        vocab_size=16,
        minloglevel=2,
    )
    library = sentencepiece.SentencePieceProcessor(model_file=f"{path}.model")
    tokenizer = Tokenizer.from_file(f"{path}.model")
    assert tokenizer.encode("a  horse ") == library.encode("a  horse ")
    assert tokenizer.decode(library.encode("a horse")) == "a horse"
