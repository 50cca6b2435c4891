"""Own files are taken in without a second copy of their bytes and without touching them."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gadfly.errors import ModelFileError, RequestError
from gadfly.hub.adopt import adopt
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.library import Library
from gadfly.hub.progress import Silent
from gadfly.hub.pull import pull
from hub_server import gguf

BODY = gguf(10_000)


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own" / "My Model.Q4_1.GGUF"
    path.parent.mkdir()
    path.write_bytes(BODY)
    return path


def test_a_file_on_the_same_disk_costs_no_disk(own, library):
    entry, new = adopt(own, library, Silent())
    assert new and entry.name == "my-model.q4_1" and entry.sha256 == sha256(BODY).hexdigest()
    assert entry.kept in ("clone", "link") and entry.path.parent == library.folder / entry.name
    assert entry.path.read_bytes() == BODY and entry.source == str(own)
    if entry.kept == "link":
        assert entry.path.samefile(own)
    own.unlink()
    assert library.find(entry.name).path.read_bytes() == BODY, "the library's file is its own"
    own.write_bytes(BODY)
    library.remove(entry.name)
    assert own.read_bytes() == BODY, "and the user's is theirs"


def test_a_file_on_another_disk_is_referred_to(own, library, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("gadfly.hub.adopt._clone", refuse)
    entry, _ = adopt(own, library, Silent())
    assert (entry.kept, entry.path) == ("reference", own)
    assert [path.name for path in (library.folder / entry.name).iterdir()] == ["model.json"]
    library.remove(entry.name)
    assert own.read_bytes() == BODY


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_second_file_system_for_real(own):
    with TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == own.stat().st_dev:
            pytest.skip("/dev/shm is on the same disk")
        entry, _ = adopt(own, Library(Path(folder)), Silent())
        assert (entry.kept, entry.path) == ("reference", own)


def test_the_same_content_is_taken_in_once(own, library, tmp_path):
    entry, _ = adopt(own, library, Silent())
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(BODY)
    for path in (own, copy, entry.path):
        assert adopt(path, library, Silent()) == (entry, False)
    renamed, new = adopt(copy, library, Silent(), name="again")
    assert new and renamed.name == "again"


def test_a_file_the_catalogue_knows_gets_its_name(own, library, monkeypatch):
    smollm2 = Catalogue.load()["smollm2"]
    known = replace(smollm2, files=(replace(smollm2.files[0], sha256=sha256(BODY).hexdigest()),))
    monkeypatch.setattr(Catalogue, "load", lambda: Catalogue({"smollm2": known}))
    entry, _ = adopt(own, library, Silent())
    assert (entry.name, entry.licence) == ("smollm2", "Apache-2.0")


def test_a_split_model_is_taken_in_whole(library, tmp_path):
    paths = [tmp_path / f"big-0000{i}-of-00002.gguf" for i in (1, 2)]
    paths[1].write_bytes(gguf(500, seed=2))
    with pytest.raises(ModelFileError, match=r"one of 2 parts, and .*big-00001-of-00002\.gguf is not there"):
        adopt(paths[1], library, Silent())
    paths[0].write_bytes(gguf(400, seed=1))
    entry, _ = adopt(paths[1], library, Silent())
    assert [file.size for file in entry.files] == [400, 500] and entry.name == "big"
    assert entry.path.name == "big-00001-of-00002.gguf"


def test_a_name_that_is_taken(own, library, tmp_path):
    adopt(own, library, Silent(), name="mine")
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf(100, seed=9))
    with pytest.raises(RequestError, match="the name mine is taken"):
        adopt(other, library, Silent(), name="mine")
    assert library.find("mine").path.read_bytes() == BODY


def test_what_is_no_model_is_refused_and_leaves_nothing(library, network, tmp_path):
    text = tmp_path / "notes.gguf"
    text.write_text("not a model")
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        pull(str(text), library, network)
    assert not library.folder.exists()


def test_symbolic_links_are_followed_to_the_file(own, library, tmp_path):
    link = tmp_path / "link.gguf"
    link.symlink_to(own)
    entry, _ = adopt(link, library, Silent())
    assert not entry.path.is_symlink() and entry.source == str(own)
