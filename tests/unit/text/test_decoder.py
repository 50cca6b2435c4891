from hypothesis import given
from hypothesis import strategies as st

from gadfly.text import Decoder, Tokenizer


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    decoder = Decoder(tokenizer)
    return [*(decoder.push(token) for token in ids), decoder.flush()]


@given(st.data())
def test_bit_by_bit_as_in_one(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1)))
    assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids)


@given(st.lists(st.sampled_from(["🦟", "é", " a", "<sep>", "<mark>", "\n\n", "x", " ", "漢"])))
def test_valid_text_never_shows_a_replacement(tokenizer: Tokenizer, words: list[str]) -> None:
    ids = tokenizer.encode("".join(words), special=True)
    shown = pieces(tokenizer, ids)
    assert "\ufffd" not in "".join(shown)
    assert "".join(shown) == tokenizer.decode(ids)


def test_a_character_comes_whole(byte_pair: Tokenizer) -> None:
    ids = byte_pair.encode("🦟")
    assert len(ids) == 4
    assert pieces(byte_pair, ids) == ["", "", "", "🦟", ""]
    assert pieces(byte_pair, ids[:3]) == ["", "", "", "\ufffd\ufffd\ufffd"]
    assert pieces(byte_pair, [ids[0], *byte_pair.encode("a")]) == ["", "\ufffda", ""]


def test_the_space_in_front_is_not_shown(sentence_piece: Tokenizer) -> None:
    ids = sentence_piece.encode("the horse")
    assert sentence_piece.token_text(ids[0]).startswith("▁")
    bos = sentence_piece.bos
    assert bos is not None
    assert "".join(pieces(sentence_piece, [bos, *ids, bos, *ids])) == "the horse the horse"


def test_within_a_text_the_space_is_shown(sentence_piece: Tokenizer) -> None:
    decoder = Decoder(sentence_piece, begun=True)
    shown = "".join(decoder.push(token) for token in sentence_piece.encode("the horse"))
    assert shown + decoder.flush() == " the horse"


def test_text_after_a_flush_goes_on(byte_pair: Tokenizer) -> None:
    decoder = Decoder(byte_pair)
    first, *_ = byte_pair.encode("é")
    assert decoder.push(first) + decoder.flush() == "\ufffd"
    assert decoder.push(byte_pair.encode("a")[0]) == "a"


def test_every_golden_text_of_grok_1(grok_1_cases: list[tuple[list[int], str]], grok_1_tokenizer: Tokenizer) -> None:
    for ids, text in grok_1_cases:
        assert "".join(pieces(grok_1_tokenizer, ids)) == text
