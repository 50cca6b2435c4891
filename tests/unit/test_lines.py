"""Files of data: rows with the lines where they stand, and whatever else is in them a problem with a number."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly import lines
from gadfly.errors import NotFoundError, RequestError
from gadfly.lines import Problem, Row, read_lines, read_rows, read_text


def rows(path: Path, content: str | bytes) -> list[Row | Problem]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_rows(path))


def test_lines_of_objects(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n[]\n{"a": \xff}\n{"a": 2}')
    assert found == [
        Row(1, {"a": 1}),
        Problem(3, "is a list of 0; expected an object"),
        Problem(4, "is not UTF-8: byte 6 is 0xff"),
        Row(5, {"a": 2}),
    ]


def test_an_array_item_by_item_until_it_is_damaged(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.json", '[\n{"a": 1},\n\n  {"a":\n 2}, 3, {"b": }]')
    assert found[:3] == [Row(2, {"a": 1}), Row(4, {"a": 2}), Problem(5, "is 3; expected an object")]
    assert isinstance(found[3], Problem) and found[3].line == 5 and "nothing after it is read" in found[3].text
    assert rows(tmp_path / "b.json", '{"canary": "x", "few": [1], "examples": [{"a": 1}, {"a": 2}]}') == [
        Row(1, {"a": 1}),
        Row(1, {"a": 2}),
    ]


def test_a_table_by_the_names_in_its_head(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", b'id,text\n1,"two\nlines"\n2,\xff\n3\n4,four\n')
    assert found == [
        Row(2, {"id": "1", "text": "two\nlines"}),
        Problem(4, "is not UTF-8: byte 2 is 0xff"),
        Problem(5, "has 1 values; expected 2, as in the first line"),
        Row(6, {"id": "4", "text": "four"}),
    ]


def test_compressed_files_and_damaged_ones(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"a": 1}\n' * 10_000)
    assert len(rows(tmp_path / "a.jsonl.gz", packed)) == 10_000
    for damaged in (packed[:-20], packed[:40], packed[:30] + b"\0" * 50):
        with pytest.raises(RequestError, match="damaged"):
            rows(tmp_path / "a.jsonl.gz", damaged)


def test_endless_and_deep_lines_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = '{"a": ' + "[" * 40 + "]" * 40 + "}"
    monkeypatch.setattr(lines, "LONGEST_LINE", 200)
    found = rows(tmp_path / "a.jsonl", f'{"x" * 1000}\n{deep}\n{{"a": {"9" * 150}}}\n{{"a": 1}}')
    assert [one.line for one in found if isinstance(one, Problem)] == [1, 2] and found[-1] == Row(4, {"a": 1})


def test_what_is_no_file_of_text(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        list(read_lines(tmp_path / "none"))
    with pytest.raises(RequestError, match="is not a file"):
        list(read_lines(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"one\ntwo \xff")
    with pytest.raises(RequestError, match=r"a\.txt:2: is not UTF-8"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_bytes("sixteen".encode("utf-16"))
    with pytest.raises(RequestError, match="is UTF-16; save"):
        read_text(tmp_path / "b.txt")


values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(
    st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.tsv"]),
    st.binary(max_size=200) | values.map(json.dumps).map(str.encode) | st.text().map(str.encode),
)
def test_no_content_is_more_than_problems(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    try:
        found = rows(tmp_path_factory.mktemp("rows") / name, content)
    except RequestError:  # an array that is no text, or what looks compressed
        return
    assert all(isinstance(one, Row | Problem) and one.line > 0 for one in found)
