"""Settings on the page: where they come from, what locks them, and a file that stays its owner's."""

import pytest

from gadfly.errors import RequestError, SettingsError
from gadfly.server.app.settings_file import change_settings, settings_table
from gadfly.settings import load_settings

WRITTEN = '# mine, by hand\nwit = 0.1  # dry\n\n# and this\npersona = "straight"\n'


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch):
    for key in ("MODEL", "PERSONA", "WIT", "THREADS", "CACHE", "OFFLINE"):
        monkeypatch.delenv(f"GADFLY_{key}", raising=False)


def row(home, key, flags=None):
    return next(one for one in settings_table(home, flags or {}) if one["key"] == key)


def test_each_says_where_it_comes_from_and_what_locks_it(tmp_path, monkeypatch):
    (tmp_path / "gadfly.toml").write_text(WRITTEN)
    monkeypatch.setenv("GADFLY_PERSONA", "gadfly")
    flags = {"threads": 2, "model": None}
    assert row(tmp_path, "wit", flags) | {"expected": ""} == {
        "key": "wit",
        "value": 0.1,
        "default": 0.5,
        "origin": "file",
        "locked_by": None,
        "expected": "",
        "restart": False,
    }
    assert (row(tmp_path, "persona", flags)["value"], row(tmp_path, "persona")["locked_by"]) == (
        "gadfly",
        "GADFLY_PERSONA",
    )
    assert (row(tmp_path, "threads", flags)["origin"], row(tmp_path, "threads", flags)["restart"]) == ("flag", True)
    assert "command line" in row(tmp_path, "threads", flags)["locked_by"]
    assert row(tmp_path, "model", flags)["origin"] == "default"


def test_changing_keeps_comments_and_order(tmp_path):
    (tmp_path / "gadfly.toml").write_text(WRITTEN)
    change_settings(tmp_path, {}, {"wit": 0.9, "offline": True})
    assert (tmp_path / "gadfly.toml").read_text() == WRITTEN.replace("0.1", "0.9") + "offline = true\n"
    assert load_settings(environ={}, folder=tmp_path).wit == 0.9
    change_settings(tmp_path, {}, {"wit": None, "threads": None})
    assert load_settings(environ={}, folder=tmp_path).wit == 0.5
    assert "# and this" in (tmp_path / "gadfly.toml").read_text()


def test_a_folder_and_a_file_that_are_not_there_are_made(tmp_path):
    change_settings(tmp_path / "new", {}, {"persona": "straight"})
    assert load_settings(environ={}, folder=tmp_path / "new").persona == "straight"


@pytest.mark.parametrize("changes", [{"wit": 2}, {"wit": "x"}, {"colour": 1}, {"colour": None}, {"offline": 1}])
def test_what_makes_no_sense_changes_nothing(tmp_path, changes):
    (tmp_path / "gadfly.toml").write_text(WRITTEN)
    with pytest.raises(RequestError, match=next(iter(changes))):
        change_settings(tmp_path, {}, {"persona": "gadfly", **changes})
    assert (tmp_path / "gadfly.toml").read_text() == WRITTEN


def test_what_is_decided_elsewhere_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_WIT", "0.3")
    with pytest.raises(RequestError, match="GADFLY_WIT"):
        change_settings(tmp_path, {}, {"wit": 0.9})
    with pytest.raises(RequestError, match="command line"):
        change_settings(tmp_path, {"model": "smollm2"}, {"model": "other"})


def test_a_damaged_file_is_left_alone(tmp_path):
    (tmp_path / "gadfly.toml").write_text("wit = = 1")
    with pytest.raises(SettingsError, match="correct or delete"):
        change_settings(tmp_path, {}, {"wit": 0.9})
    assert (tmp_path / "gadfly.toml").read_text() == "wit = = 1"
