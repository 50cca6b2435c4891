"""What is known of routers, and what becomes of files that say nothing about them."""

from pathlib import Path

import pytest

from gadfly.weights.clinging import NAME, found, recall, remember


def test_what_has_room_is_found_as_often_as_it_is_wanted() -> None:
    ranks = (0.5, 0.3, 0.2, 0.0)
    assert [found(ranks, share) for share in (0, 0.25, 0.375, 0.5, 1)] == pytest.approx([0, 0.5, 0.65, 0.8, 1])
    assert found((), 0.3) == 0.3


def test_what_is_counted_is_known_the_next_time(tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    remember(packed, [300, 100])
    assert not list(tmp_path.iterdir())  # nothing is packed there
    packed.touch()
    remember(packed, [3, 1])
    assert recall(packed, 2) == ()  # too little to be told from chance
    remember(packed, [300, 100])
    assert recall(packed, 2) == (0.75, 0.25)
    assert recall(packed, 4) == ()
    remember(packed, [])
    remember(packed, [100, 300])
    assert recall(packed, 2) == (0.25, 0.75)


@pytest.mark.parametrize(
    "told", [b"", b"[", b"[" * 60000, b'{"a": 1}', b"[true, false]", b"[0.5, NaN]", b"[2, -1]", b"[0.5, 0.1]", b"\xff"]
)
def test_a_damaged_file_says_nothing(tmp_path: Path, told: bytes) -> None:
    (tmp_path / NAME).write_bytes(told)
    assert recall(tmp_path / "packed", 2) == ()


def test_a_folder_in_its_place_is_nobodys_trouble(tmp_path: Path) -> None:
    (tmp_path / "packed").touch()
    (tmp_path / NAME).mkdir()
    remember(tmp_path / "packed", [300, 100])
    assert recall(tmp_path / "packed", 2) == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "packed"]
