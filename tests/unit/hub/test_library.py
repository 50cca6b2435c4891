"""The library survives whatever its manifests say, and deletes only what is its own."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadfly.errors import GadflyError, ModelFileError, NotFoundError, SettingsError
from gadfly.hub.library import Entry, Library, StoredFile


def put(library: Library, name: str, **changes) -> Entry:
    with library.changing(name, lambda: None):
        file = library.place(name)
        file.write_bytes(b"GGUF and so on")
        stored = StoredFile(file, 14, "a" * 64)
        values = {
            "source": "here",
            "reference": name,
            "licence": None,
            "added": "2026-11-01T00:00:00+00:00",
            "kept": "file",
        }
        entry = Entry(name, changes.pop("files", (stored,)), **{**values, **changes})
        library.add(entry)
    return entry


def manifest(library: Library, name: str) -> Path:
    return library.folder / name / "model.json"


def test_what_is_added_is_found_and_listed_by_name(library):
    entries = [put(library, name) for name in ("zebra", "ant-1.5b")]
    assert library.list() == sorted(entries, key=lambda entry: entry.name)
    assert library.find("zebra") == entries[0]
    assert (entries[0].size, entries[0].missing()) == (14, None)
    assert json.loads(manifest(library, "zebra").read_text())["files"][0]["path"] == "zebra.gguf"


def test_nothing_here_yet(library):
    assert library.list() == [] and library.damaged() == {} and library.unfinished() == {}
    assert library.resolve("smollm2") is None
    with pytest.raises(NotFoundError, match="gadfly pull smollm2 fetches it"):
        library.find("smollm2")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("smolm2", "did you mean smollm2"), ("GROK-1", "did you mean grok-1"), ("?", "no model")],
)
def test_unknown_names_get_advice(library, name, hint):
    with pytest.raises(NotFoundError, match=hint) as caught:
        library.find(name)
    assert "gadfly pull" in str(caught.value)


def test_names_and_paths_resolve(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = put(library, "mine", reference="owner/model:Q8_0")
    assert library.resolve("mine") == entry.path == library.resolve("owner/model:Q8_0")
    (tmp_path / "folder").mkdir()
    assert library.resolve("folder") == Path("folder") and library.resolve(str(entry.path)) == entry.path
    assert library.resolve("") is None and library.resolve("gone") is None and library.resolve("a\0b") is None
    (tmp_path / "smollm2").mkdir()
    assert library.resolve("smollm2") is None and library.resolve("./smollm2") == Path("./smollm2")


def test_a_file_that_is_gone_or_cut_is_missing(library):
    entry = put(library, "mine")
    entry.path.write_bytes(b"GGUF")
    assert entry.missing() == entry.path and library.resolve("mine") is None
    entry.path.unlink()
    assert entry.missing() == entry.path and library.list() == [entry]


def test_removing(library, tmp_path):
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and so on")
    put(library, "mine")
    put(library, "theirs", kept="reference", files=(StoredFile(own, 14, "b" * 64),))
    assert library.find("theirs").path == own
    for name in ("mine", "theirs"):
        library.remove(name)
        assert not (library.folder / name).exists()
    assert own.exists() and library.list() == []
    for name in ("mine", "../../own", ".locks", ""):
        with pytest.raises(NotFoundError):
            library.remove(name)
    assert (library.folder / ".locks").exists()


def test_a_download_that_has_begun_is_unfinished_and_can_be_removed(library):
    with library.changing("half", lambda: None):
        library.place("half").with_name("half.gguf.part").write_bytes(bytes(1000))
    assert library.unfinished() == {"half": 1000} and library.list() == []
    library.remove("half")
    assert library.unfinished() == {}


def test_split_models_are_numbered_as_llama_cpp_does(library):
    assert library.place("big", 2, 3).name == "big-00002-of-00003.gguf"


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "home").touch()
    with pytest.raises(SettingsError, match="set GADFLY_HOME"), Library(tmp_path / "home").changing("x", lambda: None):
        pass
    assert Library(tmp_path / "home").list() == []


WRONG = [
    ("version", 2),
    ("name", "other"),
    ("kept", "stolen"),
    ("kept", []),
    ("licence", 5),
    ("source", None),
    ("files", []),
    ("files", [{}]),
    ("files", [{"path": "../../../etc/passwd", "size": 1, "sha256": "a" * 64}]),
    ("files", [{"path": "/etc/passwd", "size": 1, "sha256": "a" * 64}]),
    ("files", [{"path": "other.gguf", "size": 1, "sha256": "a" * 64}]),
    ("files", [{"path": "mine.gguf", "size": -1, "sha256": "a" * 64}]),
    ("files", [{"path": "mine.gguf", "size": True, "sha256": "a" * 64}]),
    ("files", [{"path": "mine.gguf", "size": 1, "sha256": "../"}]),
    ("more", 1),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_manifest_that_makes_no_sense_is_damaged_and_hurts_no_other(library, key, value):
    other = put(library, "other")
    put(library, "mine")
    data = {**json.loads(manifest(library, "mine").read_text()), key: value}
    manifest(library, "mine").write_text(json.dumps(data))
    assert library.list() == [other]
    assert list(library.damaged()) == ["mine"]
    with pytest.raises(ModelFileError, match="gadfly rm mine"):
        library.find("mine")
    library.remove("mine")
    assert library.damaged() == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_damage_is_an_entry_or_an_error(library, data):
    if not manifest(library, "mine").exists():
        put(library, "mine")
        good = manifest(library, "mine").read_bytes()
        library.good = good
    good = library.good
    if data.draw(st.booleans()):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(good))] * 2)))
        bad = good[:start] + data.draw(st.binary(max_size=8)) + good[end:]
    else:
        key = data.draw(st.sampled_from([*json.loads(good), "path"]))
        bad = json.dumps({**json.loads(good), key: data.draw(json_values)}).encode()
    manifest(library, "mine").write_bytes(bad)
    assert len(library.list()) + len(library.damaged()) == 1
    try:
        entry = library.find("mine")
        assert entry.path.parent == library.folder / "mine"
    except GadflyError as error:
        assert "\n" not in str(error)
