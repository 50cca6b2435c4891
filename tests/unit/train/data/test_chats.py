"""Files of lessons: what is learnt of them, and that whatever else is in them is a problem with a line number."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly import lines
from gadfly.errors import NotFoundError
from gadfly.train.data.chats import Lesson, Problem, read_lessons

HELLO = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh, it's you."}]


def lessons(folder: Path, *lines: str | bytes) -> list[Lesson | Problem]:
    path = folder / "chats.jsonl"
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines))
    return list(read_lessons(path))


def test_every_answer_is_learnt_unless_it_says_otherwise(tmp_path: Path) -> None:
    messages = [*HELLO, HELLO[0], {**HELLO[1], "train": False}, HELLO[0], {**HELLO[1], "train": True}]
    (lesson,) = lessons(tmp_path, json.dumps({"messages": messages, "dial": 0.8, "weight": 2, "meta": {"id": "a"}}))
    assert isinstance(lesson, Lesson)
    assert lesson.learnt == (False, True, False, False, False, True)
    assert (lesson.dial, lesson.weight, lesson.meta, lesson.line) == (0.8, 2.0, {"id": "a"}, 1)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "a list of 0; expected an object"),
        ("{}", "messages is missing"),
        ('{"messages": []}', "a list of 0"),
        ('{"messages": [7]}', "message 1 is 7"),
        ('{"messages": [{"role": "boss", "content": ""}]}', "the role 'boss'"),
        ('{"messages": [{"role": "assistant"}]}', "content of message 1 is missing"),
        ('{"messages": [{"role": "assistant", "content": "\\ud800"}]}', "half a character"),
        ('{"messages": [{"role": "user", "content": "a", "train": true}]}', "only what the assistant says"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "nothing in it is to be learnt"),
        (json.dumps({"messages": HELLO, "dial": 2}), "dial is 2"),
        (json.dumps({"messages": HELLO, "weight": -1}), "weight is -1"),
        (json.dumps({"messages": HELLO, "meta": []}), "meta is a list of 0"),
        (b"\xff", "not UTF-8: byte 0 is 0xff"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, line: str | bytes, says: str) -> None:
    good = json.dumps({"messages": HELLO})
    first, problem, last = lessons(tmp_path, good, line, "", good)
    assert isinstance(first, Lesson) and isinstance(last, Lesson)
    assert isinstance(problem, Problem) and problem.line == 2 and says in problem.text
    assert last.line == 4


def test_an_endless_line_is_skipped_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 100)
    problem, lesson = lessons(tmp_path, "x" * 1000, json.dumps({"messages": HELLO[1:]}))
    assert isinstance(problem, Problem) and "longer than 100" in problem.text
    assert isinstance(lesson, Lesson) and lesson.line == 2


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        list(read_lessons(tmp_path / "none.jsonl"))


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(str).map(str.encode)
)
def test_no_line_is_more_than_a_problem(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    for found in lessons(tmp_path_factory.mktemp("lines"), line):
        assert isinstance(found, Lesson | Problem)
