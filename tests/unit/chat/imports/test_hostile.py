"""Files that are cut off, lie, or want to burst: what can be taken is, the rest is told, and nothing is unbounded."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadfly.chat.imports import Report, file, take
from gadfly.chat.imports.tree import ordered, shown_leaf
from gadfly.chat.imports.values import Said, text_of, time_of
from gadfly.chat.store import Store
from gadfly.conversation import Message
from unit.chat.imports.exports_of_others import (
    CHATGPT,
    CLAUDE,
    LIBRECHAT,
    LIBRECHAT_TREE,
    LLAMA_CPP,
    MESSAGES,
    OPEN_WEBUI,
    RECORD,
    SHAREGPT,
)

ALL = [*CHATGPT, *CLAUDE, *OPEN_WEBUI, LIBRECHAT, LIBRECHAT_TREE, LLAMA_CPP, MESSAGES, SHAREGPT, RECORD]


def whys(store: Store, data: bytes) -> list[str]:
    return [str(one.reason) for one in take(store, "", data).skipped]


def zipped(**members: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.json", data)
    return packed.getvalue()


@pytest.mark.parametrize("cut", [10, 200, 2000, -1, -2, -30])
def test_of_a_file_that_was_cut_off_the_beginning_is_taken(store: Store, cut: int):
    data = json.dumps([LLAMA_CPP, *CLAUDE, *OPEN_WEBUI]).encode()
    report = take(store, "", data[:cut])
    whole = sum(len(json.dumps(ALL_BEFORE)) <= len(data[:cut]) for ALL_BEFORE in ([LLAMA_CPP], [LLAMA_CPP, *CLAUDE]))
    assert report.taken >= whole
    assert any("cut off" in str(one.reason) for one in report.skipped)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b"\xff\xfe\x00", "no JSON in UTF-8"),
        (b"<html>", "damaged"),
        (b"null", "expected a conversation"),
        (b"[1, 2]", "expected a conversation"),
        (b"{}", "of no format known here"),
        (b'{"a": 1}', "it has 'a'"),
        (b'{"mapping": {}}', "nothing is said in it"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'[{"mapping": {}} {}]', "a comma is missing"),
        (b"[NaN]", "damaged"),
        (b"[" + b"9" * 5000 + b"]", "damaged"),
        (b"PK\x03\x04nonsense", "damaged zip"),
        pytest.param(zipped(a=b"[]")[:-30], "damaged zip", id="cut zip"),  # which has the time in it
    ],
)
def test_what_is_no_export_is_told(store: Store, data: bytes, why: str):
    found = whys(store, data)
    assert any(why in one for one in found), found


def test_an_empty_list_is_nothing(store: Store):
    assert take(store, "", b" [ ] ") == Report(0, (), None, ())


def test_what_stands_around_a_damaged_conversation_is_taken(store: Store):
    lines = [json.dumps(MESSAGES), '{"messages": [tru]}', "[", json.dumps(SHAREGPT)]
    report = take(store, "", f"[{lines[0]}, {lines[1]}, {lines[3]}]".encode())
    assert report.taken == 2
    assert [str(one.place) for one in report.skipped] == ["conversation 2"]


@pytest.mark.parametrize(
    "data", [b'["' + b'\\"' * 1_000_000, b'"' * 1_000_001, b'[[{"a":"' * 300, b"[" + b'{"' * 500_000]
)
def test_quotes_that_do_not_end_are_read_once(store: Store, data: bytes):
    assert take(store, "", data).skipped


def test_a_conversation_of_too_many_values_is_not_even_parsed(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file, "PARTS", 1000)
    whole = [MESSAGES, {"messages": [{}] * 2000}]
    assert "larger than 1000 values" in whys(store, json.dumps(whole).encode())[0]


def test_a_zip_without_json_is_told(store: Store):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    assert whys(store, packed.getvalue()) == ["is a zip without any JSON in it"]


def test_a_zip_that_bursts_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file, "BYTES", 1_000_000)
    bomb = zipped(conversations=b"[" + b" " * 50_000_000 + b"]")
    assert len(bomb) < 100_000
    assert whys(store, bomb) == ["has more than 1000000 bytes in it"]
    many = zipped(**{f"a{number}": b"[" + b" " * 400_000 + b"]" for number in range(9)})
    assert "more than" in whys(store, many)[-1]
    assert "more than" in whys(store, b"[" + b" " * 2_000_000 + b"]")[-1]


def test_a_zip_with_a_damaged_member_gives_the_others(store: Store):
    data = bytearray(zipped(a=json.dumps(MESSAGES).encode() * 1, b=json.dumps([LLAMA_CPP]).encode()))
    data[60] ^= 0xFF  # within the first member
    report = take(store, "", bytes(data))
    assert report.taken == 1
    assert "cannot be unpacked" in str(report.skipped[0].reason)


def test_too_many_conversations_are_left_out(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(file, "ITEMS", 3)
    report = take(store, "", json.dumps([MESSAGES] * 5).encode())
    assert report.taken == 3
    assert "more than 3 conversations" in str(report.skipped[0].reason)


def test_a_report_has_an_end(store: Store):
    report = take(store, "", json.dumps([{}] * 5000).encode())
    assert len(report.skipped) == 1001
    assert str(report.skipped[-1].place) == "4000 more"


def test_a_cycle_is_cut(store: Store):
    nodes = {
        key: {"id": key, "parent": parent, "message": {"author": {"role": "user"}, "content": {"parts": [key]}}}
        for key, parent in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d"), ("e", "a"))
    }
    report = take(store, "", json.dumps({"mapping": nodes, "current_node": "a"}).encode())
    found = store.open("", report.chats[0])
    assert sorted(node.message.content for node in found.nodes) == list("abcde")


def test_a_chain_of_many_messages_is_no_recursion(store: Store):
    nodes = {
        str(n): {"parent": str(n + 1), "message": {"author": {"role": "user"}, "content": {"parts": ["x"]}}}
        for n in range(5_000)
    }
    report = take(store, "", json.dumps({"mapping": nodes, "current_node": "0"}).encode())
    assert store.info("", report.chats[0]).messages == 5_000


def test_halves_of_characters_are_replaced(store: Store):
    report = take(store, "", b'{"title": "\\ud800", "messages": [{"role": "user", "content": "a\\udfffb"}]}')
    found = store.open("", report.chats[0])
    assert (found.info.title, found.nodes[0].message.content) == ("\ufffd", "a\ufffdb")


def test_times():
    assert time_of(1700000000) == time_of(1700000000000) == time_of("2023-11-14T22:13:20Z") == 1700000000
    for wrong in (None, True, "soon", -1, float("inf"), float("nan"), 10**400, [], "9999-99-99"):
        assert time_of(wrong) is None


def test_texts():
    assert text_of("ä😀") == "ä😀"
    assert text_of("\ud83d\ude00") == "😀"
    assert text_of(3) == ""


KEYS = st.sampled_from(list("abcdef"))


@given(st.lists(st.builds(Said, KEYS, st.none() | KEYS, st.none() | st.just(Message("user", "x"))), max_size=12), KEYS)
def test_any_parents_make_a_tree(said: list[Said], leaf: str):
    found = ordered(said)
    first = {one.key: one for one in reversed(said)}
    assert {one.key for one in found} == {key for key, one in first.items() if one.message is not None}
    seen: set[str] = set()
    for one in found:
        assert one.parent is None or one.parent in seen
        assert one.key not in seen
        seen.add(one.key)
    assert (shown_leaf(said, found, leaf) in seen) == bool(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """An export in which something is another thing."""
    value = json.loads(json.dumps(draw(st.sampled_from(ALL))))
    for _ in range(draw(st.integers(1, 4))):
        place: Any = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.booleans()):
                del place[key]
            else:
                place[key] = draw(JSON)
            break
    return value


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    store = Store(tmp_path_factory.mktemp("fuzz") / "chats.sqlite")
    yield store
    assert store.check() == []
    store.close()


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(value=damaged())
def test_damaged_values_are_taken_or_told(shared: Store, value: Any):
    report = take(shared, "", json.dumps(value).encode())
    assert report.taken or report.skipped
    for chat in report.chats:
        assert shared.open("", chat).nodes
        shared.delete("", chat)


@FUZZ
@given(value=st.sampled_from(ALL), at=st.floats(0, 1), byte=st.integers(0, 255), packed=st.booleans())
def test_damaged_bytes_are_taken_or_told(shared: Store, value: Any, at: float, byte: int, packed: bool):
    data = json.dumps([value]).encode()
    if packed:
        data = zipped(conversations=data)
    position = int(at * (len(data) - 1))
    take(shared, "", data[:position] + bytes([byte]) + data[position + 1 :])
    take(shared, "", data[:position])


def test_a_message_that_is_too_large_leaves_its_conversation_out(store: Store, tmp_path: Path):
    del tmp_path
    large = {"messages": [{"role": "user", "content": "x" * 16_000_001}]}
    report = take(store, "", json.dumps([large, MESSAGES]).encode())
    assert report.taken == 1
    assert "longer than" in str(report.skipped[0].reason)
    assert [chat.title for chat in store.chats("").chats] == ["Lines"]
