"""Adapters by name and by path."""

from pathlib import Path

import pytest

from gadfly.errors import NotFoundError, RequestError
from gadfly.hub.adapters import find_adapter, name_of_adapter, remove_adapter, shelved_adapters


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    return folder


def test_a_user_s_own_wins_over_ours(tmp_path: Path) -> None:
    ours, home = tmp_path / "ours", tmp_path / "home"
    shipped, _, own = put(ours / "gadfly"), put(ours / "pirate"), put(home / "adapters" / "pirate")
    (home / "adapters" / "notes").mkdir()
    (home / "adapters" / "poet.gguf").write_bytes(b"GGUF")
    assert shelved_adapters(home, ours) == {
        "gadfly": shipped,
        "pirate": own,
        "poet": home / "adapters" / "poet.gguf",
    }
    assert find_adapter("gadfly", home, ours) == shipped
    assert find_adapter(str(own), home, ours) == own


def test_there_may_be_none(tmp_path: Path) -> None:
    assert shelved_adapters(tmp_path, tmp_path / "nothing") == {}
    with pytest.raises(NotFoundError, match="give the folder of one"):
        find_adapter("pirate", tmp_path, tmp_path / "nothing")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    put(tmp_path / "adapters" / "pirate")
    for asked, says in (("pirat", "did you mean pirate"), ("", "there are pirate"), ("x" * 5000, "there are pirate")):
        with pytest.raises(NotFoundError, match=says):
            find_adapter(asked, tmp_path, tmp_path / "nothing")


def test_only_a_user_s_own_is_deleted(tmp_path: Path) -> None:
    ours, home = tmp_path / "ours", tmp_path / "home"
    shipped, own, elsewhere = put(ours / "gadfly"), put(home / "adapters" / "pirate"), put(tmp_path / "elsewhere")
    linked = home / "adapters" / "linked"
    linked.symlink_to(elsewhere)
    for name in ("pirate", "linked"):
        remove_adapter(name, home, ours)
    assert not own.exists() and not linked.is_symlink() and elsewhere.exists()
    with pytest.raises(RequestError, match="comes with Gadfly"):
        remove_adapter("gadfly", home, ours)
    for absent in ("pirate", "", "..", str(elsewhere)):
        with pytest.raises(NotFoundError):
            remove_adapter(absent, home, ours)
    assert shipped.exists()


def test_names_are_those_of_folders_and_files() -> None:
    assert [name_of_adapter(Path(path)) for path in ("a/b", "a/b.gguf", "b/", "a/v1.5")] == ["b", "b", "b", "v1.5"]
