"""Personas are read by everybody's code, and written only where they are the user's own."""

import pytest

from gadfly.chat.persona import load_persona
from gadfly.errors import NotFoundError, RequestError
from gadfly.server.app.persona_files import PersonaFiles

VOICES = [
    {"wit": 0, "system": "You are Socrates.", "greeting": "Well?", "examples": [["Why?", "Why not?"]]},
    {"wit": 0.5, "system": "You are Socrates, stung.", "greeting": "Ouch?"},
]
SOCRATES = {"description": "Asks.", "voices": VOICES, "sampling": {"temperature": 0.7}, "stop": ["Plato:"]}


@pytest.fixture
def files(tmp_path):
    return PersonaFiles(tmp_path / "personas")


def test_one_is_written_read_and_deleted(files, tmp_path):
    shown = files.save("socrates", SOCRATES)
    assert (shown["name"], shown["own"], shown["stop"]) == ("socrates", True, ["Plato:"])
    assert shown["voices"][0] == {**VOICES[0], "wit": 0}
    persona = load_persona("socrates", tmp_path / "personas")
    assert persona.voice(0.7).greeting == "Ouch?"
    assert persona.sampling.temperature == 0.7
    table = {key: value for key, value in shown.items() if key != "own"}
    assert files.save("socrates", table) == shown  # what was shown can be sent back
    assert {one["name"]: one["own"] for one in files.list()} == {"gadfly": False, "socrates": True, "straight": False}
    files.delete("socrates")
    assert not list((tmp_path / "personas").iterdir())
    with pytest.raises(NotFoundError):
        files.delete("socrates")


def test_ours_stay_as_they_are(files):
    with pytest.raises(RequestError, match="comes with Gadfly"):
        files.save("gadfly", SOCRATES)
    with pytest.raises(RequestError, match="comes with Gadfly"):
        files.delete("gadfly")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "Big", "x" * 41, "a.b"])
def test_a_name_leads_nowhere_else(files, name):
    with pytest.raises(RequestError, match="no name"):
        files.save(name, SOCRATES)
    with pytest.raises(NotFoundError):
        files.show(name)
    with pytest.raises(NotFoundError):
        files.delete(name)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"voices": []}, "voices"),
        ({"voices": [{"wit": 0}]}, "system"),
        ({"voices": "x"}, "voices"),
        ({"sampling": {"temperature": -1}}, "temperature"),
        ({"description": ""}, "description"),
        ({"description": "x" * 70_000}, "larger"),
        ({"strange": 1}, "strange"),
        ({"stop": [None]}, "None"),
        ({"stop": [object()]}, "object"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(files, tmp_path, change, told):
    with pytest.raises(RequestError, match=told):
        files.save("socrates", {**SOCRATES, **change})
    assert not (tmp_path / "personas").exists()


def test_a_damaged_file_says_so_in_the_list(files, tmp_path):
    (tmp_path / "personas").mkdir()
    (tmp_path / "personas/broken.toml").write_text("name = ")
    (one,) = [one for one in files.list() if one["name"] == "broken"]
    assert "TOML" in one["error"] and one["own"]
