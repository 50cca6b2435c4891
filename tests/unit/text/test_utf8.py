from hypothesis import given
from hypothesis import strategies as st

from gadfly.text.utf8 import decode_utf8


@given(st.lists(st.binary(max_size=6)), st.text())
def test_in_pieces_as_in_one(pieces: list[bytes], text: str) -> None:
    pieces = [*pieces, *(text.encode()[i : i + 1] for i in range(len(text.encode())))]
    shown, pending = "", b""
    for piece in pieces:
        part, pending = decode_utf8(pending + piece, final=False)
        assert len(pending) < 4
        shown += part
    part, rest = decode_utf8(pending, final=True)
    assert not rest
    assert shown + part == decode_utf8(b"".join(pieces), final=True)[0]


@given(st.text())
def test_valid_text_is_itself(text: str) -> None:
    assert decode_utf8(text.encode(), final=True) == (text, b"")


@given(st.binary())
def test_as_python_but_for_the_number_of_replacements(data: bytes) -> None:
    ours, _ = decode_utf8(data, final=True)
    python = data.decode(errors="replace")
    assert squeezed(ours) == squeezed(python)
    assert len(ours) >= len(python)


def test_a_replacement_for_every_byte() -> None:
    assert decode_utf8(b"a\xf0\x9f\x98z\xff", final=True)[0] == "a\ufffd\ufffd\ufffdz\ufffd"
    assert decode_utf8(b"a\xf0\x9f\x98", final=False) == ("a", b"\xf0\x9f\x98")
    assert decode_utf8(b"\xed\xa0\x80", final=False) == ("\ufffd" * 3, b"")  # a surrogate


def squeezed(text: str) -> str:
    while "\ufffd\ufffd" in text:
        text = text.replace("\ufffd\ufffd", "\ufffd")
    return text
