"""Models as data: what is written the library loads, and damage is told from what is merely not supported."""

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.errors import ModelFileError
from gadfly.text.piece_model import PieceModel

IDS = {"unknown": 0, "bos": 1, "eos": 2}


def test_roles_and_pieces_survive(sentence_piece_model: bytes) -> None:
    before = sentencepiece.SentencePieceProcessor(model_proto=sentence_piece_model)
    model = PieceModel.read(sentence_piece_model, IDS, {}, ())
    after = sentencepiece.SentencePieceProcessor(model_proto=model.proto())
    assert (after.unk_id(), after.bos_id(), after.eos_id(), after.pad_id()) == (0, 1, 2, -1)
    for i in range(before.get_piece_size()):
        assert after.id_to_piece(i) == before.id_to_piece(i)
        assert after.get_score(i) == before.get_score(i)
        assert (after.is_control(i), after.is_byte(i)) == (before.is_control(i), before.is_byte(i))
    assert PieceModel.read(model.proto(), IDS, {}, ()) == model


def test_roles_may_have_any_names(sentence_piece_model: bytes) -> None:
    model = PieceModel.read(sentence_piece_model, {"unknown": 0, "bos": 4, "eos": 1, "pad": 2}, {}, ())
    control = model.vocabulary.tokens.index("<mark>")
    model = PieceModel.read(sentence_piece_model, {"unknown": 0, "bos": control, "eos": 1, "pad": 2}, {}, ())
    after = sentencepiece.SentencePieceProcessor(model_proto=model.proto())
    assert (after.unk_id(), after.bos_id(), after.eos_id(), after.pad_id()) == (0, control, 1, 2)


@settings(max_examples=200)
@given(
    changes=st.lists(st.tuples(st.integers(0, 400) | st.integers(0, 10**5), st.integers(0, 255)), max_size=6),
    end=st.none() | st.integers(0, 10**4),
)
def test_damaged_models(sentence_piece_model: bytes, changes: list[tuple[int, int]], end: int | None) -> None:
    data = bytearray(sentence_piece_model)
    for place, value in changes:
        data[place % len(data)] = value
    try:
        model = PieceModel.read(bytes(data[:end]), IDS, {"added_tokens_decoder": {"500": {"content": "x"}}}, [3])
        assert len(model.vocabulary.tokens) == len(model.scores)
    except ModelFileError as error:
        assert "\n" not in str(error)


def test_without_an_unknown_token(sentence_piece_model: bytes) -> None:
    with pytest.raises(ModelFileError, match="has no unknown token"):
        PieceModel.read(sentence_piece_model, {}, {}, ())
