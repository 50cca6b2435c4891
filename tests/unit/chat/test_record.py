import errno
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.chat.record import Record, read_record, write_record
from gadfly.chat.values import Reply, Turn
from gadfly.completion import Completion, Usage
from gadfly.errors import CapacityError, RequestError

COUNTS = st.integers(0, 10**9)
SECONDS = st.floats(0, 1e6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
WITS = st.floats(0, 1)


@st.composite
def records(draw: st.DrawFn) -> Record:
    def reply() -> Reply:
        usage = Usage(draw(COUNTS), draw(COUNTS), draw(COUNTS), draw(SECONDS), draw(SECONDS))
        completion = Completion(draw(TEXTS), (), draw(st.sampled_from(["stop", "length", "cancelled"])), usage)
        return Reply(completion.text, completion, draw(TEXTS), draw(WITS), draw(st.none() | TEXTS))

    turns = tuple(
        Turn(draw(TEXTS), reply() if draw(st.booleans()) else None, draw(st.integers(0, number)), draw(COUNTS))
        for number in range(draw(st.integers(0, 3)))
    )
    return Record(draw(TEXTS), draw(WITS), draw(st.none() | TEXTS), turns)


TURN = Turn("Really?", Reply("Yes.", Completion("Yes.", (), "stop", Usage(9, 0, 2, 0.5, 0.25)), "gadfly", 0.5))
RECORD = Record("gadfly", 0.5, None, (TURN, Turn("Sure?", None, 1)))


@given(records())
def test_what_is_written_is_read(record: Record):
    with TemporaryDirectory() as folder:
        write_record(Path(folder) / "chat.json", record)
        assert read_record(Path(folder) / "chat.json") == record


def test_a_person_can_read_it(tmp_path: Path):
    write_record(tmp_path / "chat.json", Record("gadfly", 0.5, "Sprich Deutsch, grüße", (TURN,)))
    text = (tmp_path / "chat.json").read_text()
    assert '"user": "Really?"' in text
    assert "grüße" in text
    assert json.loads(text)["version"] == 1


class TestWriting:
    def test_nothing_but_a_conversation_is_replaced(self, tmp_path: Path):
        path = tmp_path / "thesis.json"
        path.write_text('{"years": 4}')
        with pytest.raises(RequestError, match="is no conversation; choose another name"):
            write_record(path, RECORD)
        assert path.read_text() == '{"years": 4}'

    def test_a_conversation_is_replaced_and_an_empty_file_filled(self, tmp_path: Path):
        path = tmp_path / "chat.json"
        path.touch()
        for record in (RECORD, Record("straight", 0, None, ())):
            write_record(path, record)
            assert read_record(path) == record

    def test_a_full_disk_leaves_what_was_there_and_nothing_else(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = tmp_path / "chat.json"
        write_record(path, RECORD)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CapacityError, match="No space left"):
            write_record(path, Record("straight", 0, None, ()))
        assert read_record(path) == RECORD
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("name", ["no/such/folder.json", "a" * 300, "a\0b", "."])
    def test_places_where_nothing_can_be_written(self, name: str, tmp_path: Path):
        with pytest.raises(RequestError):
            write_record(tmp_path / name, RECORD)

    def test_a_link_stays_a_link(self, tmp_path: Path):
        (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
        write_record(tmp_path / "link.json", RECORD)
        assert (tmp_path / "link.json").is_symlink()
        assert read_record(tmp_path / "real.json") == RECORD


def changed(path: str, value: object) -> bytes:
    """The good file with the value at a path like "turns.0.user" changed."""
    table: Any = {
        "format": "gadfly-chat",
        "version": 1,
        "persona": "gadfly",
        "wit": 0.5,
        "system": None,
        "turns": [
            {
                "user": "Really?",
                "first": 0,
                "attempt": 0,
                "reply": {
                    "text": "Yes.",
                    "persona": "gadfly",
                    "wit": 0.5,
                    "notice": None,
                    "finish_reason": "stop",
                    "usage": {
                        "prompt_tokens": 9,
                        "cached_tokens": 0,
                        "completion_tokens": 2,
                        "prefill_seconds": 0.5,
                        "decode_seconds": 0.25,
                    },
                },
            }
        ],
    }
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    inner = table
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return json.dumps(table).encode()


PATHS = [
    "format",
    "version",
    "persona",
    "wit",
    "system",
    "turns",
    "turns.0",
    *(f"turns.0.{key}" for key in ("user", "first", "attempt", "reply", "else")),
    *(f"turns.0.reply.{key}" for key in ("text", "persona", "wit", "notice", "finish_reason", "usage")),
    *(f"turns.0.reply.usage.{key}" for key in ("prompt_tokens", "prefill_seconds")),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
)


class TestReading:
    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "is no conversation"),
            (b"\xff\xfe", "is no conversation"),
            (b"[" * 100_000, "is no conversation"),
            (b"[]", "exactly the keys"),
            (changed("version", 2), "reads 'gadfly-chat' 1"),
            (changed("wit", 2), "wit is 2"),
            (changed("wit", float("nan")), "wit is nan"),
            (changed("wit", True), "wit is True"),
            (changed("persona", "\ud83d"), "surrogates not allowed"),
            (changed("turns.0.first", 1), "first is 1"),
            (changed("turns.0.attempt", 0.5), "expected a whole number"),
            (changed("turns.0.reply.finish_reason", ["stop"]), "finish_reason is"),
            (changed("turns.0.reply.usage.decode_seconds", float("inf")), "decode_seconds is inf"),
            (changed("turns.0.reply.usage.prompt_tokens", 10**4000), "prompt_tokens is"),
        ],
    )
    def test_what_is_wrong_is_named(self, data: bytes, says: str, tmp_path: Path):
        (tmp_path / "chat.json").write_bytes(data)
        with pytest.raises(RequestError, match=says) as error:
            read_record(tmp_path / "chat.json")
        assert "\n" not in str(error.value)

    @given(path=st.sampled_from(PATHS), value=JSON)
    def test_any_change_of_a_good_file_is_a_record_or_an_error(self, path: str, value: object, tmp_path_factory: Any):
        file = tmp_path_factory.getbasetemp() / "changed.json"
        file.write_bytes(changed(path, value))
        try:
            record = read_record(file)
        except RequestError as error:
            assert "changed.json" in str(error)
        else:
            write_record(file, record)
            assert read_record(file) == record
