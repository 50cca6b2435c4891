"""Character cards become personas; what is no card says so, whatever it is."""

import base64
import json
import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.chat.cards import read_card
from gadfly.errors import RequestError

FIELDS = {
    "name": "Xanthippe",
    "description": "{{char}} is the wife of Socrates. She has had enough of {{user}}.",
    "personality": "sharp",
    "scenario": "Athens, at the well.",
    "first_mes": "What does {{user}} want now?",
    "mes_example": "<START>\n{{user}}: Where is he?\n{{char}}: At the market.\nTalking.\n<START>\n{{user}}: Still?\n"
    "{{user}}: Really?\n{{char}}: Still.\n{{char}}: And tomorrow.",
}
V2 = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        **FIELDS,
        "system_prompt": "Answer as {{char}}.",
        "character_book": {"entries": []},
        "creator_notes": "A.",
    },
}


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(**texts):
    chunks = [chunk(b"tEXt", name.encode() + b"\0" + text) for name, text in texts.items()]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13)) + b"".join(chunks) + chunk(b"IEND", b"")


def test_version_1():
    card = read_card(json.dumps(FIELDS).encode())
    (voice,) = card.persona["voices"]
    assert card.name == "xanthippe"
    assert voice["system"].startswith(
        "You are Xanthippe.\n\nXanthippe is the wife of Socrates. She has had enough of the"
    )
    assert voice["system"].endswith("sharp\n\nAthens, at the well.")
    assert voice["greeting"] == "What does the user want now?"
    assert voice["examples"] == [["Where is he?", "At the market.\nTalking."], ["Really?", "Still."]]
    assert card.notes == ()


def test_later_versions_say_more_and_what_has_no_place_is_told():
    card = read_card(json.dumps(V2).encode())
    assert card.persona["voices"][0]["system"].startswith("Answer as Xanthippe.\n\n")
    assert card.persona["description"] == "A."
    assert card.notes == ("its lore book",)
    third = {**V2, "spec": "chara_card_v3"}
    packed = {
        "chara": base64.b64encode(json.dumps(FIELDS).encode()),
        "ccv3": base64.b64encode(json.dumps(third).encode()),
    }
    assert read_card(png(**packed)) == card
    assert read_card(png(chara=packed["chara"])) == read_card(json.dumps(FIELDS).encode())


def test_what_is_too_long_is_cut_and_told():
    card = read_card(json.dumps({**FIELDS, "description": "x" * 9000}).encode())
    assert len(card.persona["voices"][0]["system"]) == 4000
    assert card.notes == ("the end of its description, which is too long",)


def test_our_own_files():
    card = read_card(b'name = "me"\ndescription = "x"\n[[voices]]\nwit = 0\nsystem = "s"\ngreeting = "g"\n')
    assert (card.name, card.persona["description"]) == ("me", "x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"{",
        b'{"spec": 1}',
        b'{"spec": "chara_card_v2", "data": []}',
        b'{"name": 1, "first_mes": 2}',
        b"\xff\xfe",
        b"nonsense",
        b"{" * 100_000,
        png(),
        png(chara=b"!!!"),
        png(chara=base64.b64encode(b"[]")),
        png(chara=b"e30=")[:40],
    ],
)
def test_what_is_no_card_says_so(data):
    if data == b"":
        assert read_card(data).persona == {}  # TOML of nothing, which makes no persona either
        return
    with pytest.raises(RequestError):
        read_card(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_strange_fields_never_break_it(value):
    fields = {**FIELDS, "description": value, "mes_example": value, "system_prompt": value}
    assert read_card(json.dumps(fields).encode()).name == "xanthippe"


@given(st.binary(max_size=300))
def test_strange_bytes_never_break_it(data):
    for whole in (data, b"\x89PNG\r\n\x1a\n" + data):
        with suppress(RequestError):
            read_card(whole)
