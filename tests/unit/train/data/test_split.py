"""Parts of data: the same every time, of the sizes that were asked for, and never with the same question in two."""

import json
from pathlib import Path

import pytest

from gadfly.errors import ModelFileError, RequestError
from gadfly.train.data.split import divide
from unit.train.data.test_check import chat, written


def parts(folder: Path) -> dict[str, set[str]]:
    return {path.name: set(path.read_text().splitlines()) for path in folder.iterdir()}


def test_shares_are_those_that_were_asked_for_and_nothing_is_lost(tmp_path: Path) -> None:
    lines = [chat(f"Answer {n}.", f"Question {n}?") for n in range(2000)]
    done = divide([written(tmp_path / "a.jsonl", *lines, "{")], tmp_path / "out", 0.2, 0.1)
    assert done.groups == 2000 and done.lines.total() == 2000 and done.refused == 1 and done.problems[0][1].line == 2001
    assert 340 < done.lines["valid.jsonl"] < 460 and 150 < done.lines["test.jsonl"] < 250
    assert sorted(line for part in parts(tmp_path / "out").values() for line in part) == sorted(map(json.dumps, lines))


def test_a_line_stays_where_it_is_whatever_comes_with_it(tmp_path: Path) -> None:
    lines = [chat(f"Answer {n}.", f"Question {n}?") for n in range(50)]
    divide([written(tmp_path / "a.jsonl", *lines)], tmp_path / "one", 0.3, 0.2)
    more = [chat("New.", f"New {n}?") for n in range(50)]
    divide([written(tmp_path / "b.jsonl", *more, *reversed(lines))], tmp_path / "two", 0.3, 0.2)
    before, after = parts(tmp_path / "one"), parts(tmp_path / "two")
    assert all(before[name] <= after[name] for name in before)


def test_questions_and_groups_stay_together(tmp_path: Path) -> None:
    same = [chat(f"Answer {n}.", "What IS rain" if n % 2 else "what is rain?") for n in range(40)]
    story = [chat("A.", f"Chapter {n}?", meta={"story": 5}) for n in range(40)]
    bridge = [chat("B.", "What is rain?", meta={"story": 5})]
    for number, (lines, groups) in enumerate(
        [(same, 1), (story, 1), ([*same, *story], 2), ([*same, *story, *bridge], 1)]
    ):
        done = divide([written(tmp_path / "a.jsonl", *lines)], tmp_path / str(number), 0.5, 0, "story")
        assert done.groups == groups and len(done.lines) <= groups


def test_mistakes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", chat("Wet."))
    for valid, test in ((1.0, 0.0), (-0.1, 0.0), (0.5, 0.5), (float("nan"), 0.0)):
        with pytest.raises(RequestError, match="together less than 1"):
            divide([path], tmp_path / "out", valid, test)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(ModelFileError, match="not empty"):
        divide([path], tmp_path / "full", 0.1, 0)
