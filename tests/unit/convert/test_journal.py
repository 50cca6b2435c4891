from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.convert.journal import Journal, Mark

MARKS = [Mark(0, 0, 8, 123), Mark(0, 1, 3, 5), Mark(0, 1, 6, 7)]


def written(path: Path) -> Path:
    journal = Journal(path, "plan")
    for mark in MARKS:
        journal.note(mark)
    journal.close()
    return path


def marks(path: Path, plan: str = "plan") -> list[Mark]:
    journal = Journal(path, plan)
    journal.close()
    return list(journal.marks.values())


def test_the_last_word_on_each_piece_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "journal")
    for _ in range(2):  # reading rewrites it
        assert marks(path) == [MARKS[0], MARKS[2]]


def test_another_plan_begins_anew(tmp_path: Path) -> None:
    path = written(tmp_path / "journal")
    assert marks(path, "other") == []
    assert marks(path) == []


def test_wherever_the_power_failed_a_prefix_of_the_truth_is_left(tmp_path: Path) -> None:
    whole = written(tmp_path / "journal").read_bytes()
    prefixes = [[], MARKS[:1], MARKS[:2], [MARKS[0], MARKS[2]]]
    for size in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:size])
        assert marks(tmp_path / "cut") in prefixes


@given(st.binary(max_size=200))
def test_a_journal_of_anything_is_no_journal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.write_bytes(b'{"plan": "plan"}\n' + data)
    assert isinstance(marks(path), list)
