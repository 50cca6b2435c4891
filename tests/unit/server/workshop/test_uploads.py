"""Files that were sent to learn from are kept, found by their ids alone, and limited in number."""

import time

import pytest

from gadfly.api.openai_files import Upload
from gadfly.errors import CapacityError, NotFoundError
from gadfly.server.workshop.uploads import Uploads


def test_files_outlive_the_server_and_the_latest_is_first(tmp_path):
    clock = iter(range(10))
    uploads = Uploads(tmp_path, clock=lambda: next(clock))
    first, second = (uploads.add("anna", Upload("../x.jsonl", data)) for data in (b"{}\n", b"{}\r\n\n"))
    assert Uploads(tmp_path).list("anna") == [second, first]
    assert Uploads(tmp_path).path(second.id, "anna").read_bytes() == b"{}\r\n\n"
    assert Uploads(tmp_path).get(first.id, "anna").filename == "../x.jsonl"
    assert not list(tmp_path.parent.glob("x.jsonl"))
    uploads.remove(first.id, "anna")
    assert uploads.list("anna") == [second]
    with pytest.raises(NotFoundError, match="there is no file"):
        uploads.remove(first.id, "anna")


@pytest.mark.parametrize("strange", ["", "../keys", "file-" + "0" * 24, "file-x/../../keys", "\udcff", "x" * 10_000])
def test_only_ids_are_looked_for(tmp_path, strange):
    (tmp_path / "keys.json").write_text("{}")
    with pytest.raises(NotFoundError, match="there is no file"):
        Uploads(tmp_path).path(strange, "anna")


def test_there_are_not_too_many(tmp_path):
    uploads = Uploads(tmp_path, most=1)
    kept = uploads.add("anna", Upload("x", b"1"))
    with pytest.raises(CapacityError, match="delete files"):
        uploads.add("anna", Upload("x", b"2"))
    uploads.remove(kept.id, "anna")
    uploads.add("anna", Upload("x", b"3"))


def test_what_is_damaged_or_half_removed_is_not_there(tmp_path):
    uploads = Uploads(tmp_path)
    damaged, halved = uploads.add("anna", Upload("x", b"1")), uploads.add("anna", Upload("x", b"2"))
    (tmp_path / "files" / f"{damaged.id}.json").write_text("{")
    uploads.path(halved.id, "anna").unlink()
    assert uploads.list("anna") == []


def test_everybody_has_files_of_their_own(tmp_path):
    uploads = Uploads(tmp_path, most=1)
    hers = uploads.add("anna", Upload("x", b"1"))
    uploads.add("", Upload("x", b"2"))
    assert uploads.list("anna") == [hers] and uploads.list("ben") == []
    for ask in (uploads.get, uploads.path, uploads.remove):
        with pytest.raises(NotFoundError, match="there is no file"):
            ask(hers.id, "ben")


def test_what_a_server_left_that_died_is_removed_later(tmp_path):
    uploads = Uploads(tmp_path)
    kept = uploads.add("", Upload("x", b"1"))
    left = tmp_path / "files" / f"file-{'0' * 24}.jsonl"
    left.write_text("{}")
    uploads.add("", Upload("x", b"2"))
    assert left.exists()
    Uploads(tmp_path, clock=lambda: time.time() + 4000).add("", Upload("x", b"3"))
    assert not left.exists() and kept in uploads.list("")
