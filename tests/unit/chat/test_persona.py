from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.chat.persona import FILE_LIMIT, load_persona, persona_names, read_persona
from gadfly.chat.values import Message
from gadfly.errors import NotFoundError, RequestError, SettingsError

GOOD = """
name = "bard"
description = "Rhymes."
stop = ["The end."]

[sampling]
temperature = 0.7

[[voices]]
system = "Answer in prose."
greeting = "Hello."

[[voices]]
wit = 0.5
system = "Answer in rhyme."
greeting = "Hello, fellow."
examples = [["A cat?", "That's that."]]
"""


def read(text: str):
    return read_persona(text.encode(), "bard.toml", "bard")


class TestOurOwn:
    @pytest.mark.parametrize("name", ["gadfly", "straight"])
    def test_prompts_are_short_enough_for_a_small_model(self, name: str):
        persona = load_persona(name)
        for voice in persona.voices:
            assert len(voice.system.split()) <= 45  # about 60 tokens
            assert sum(len(f"{user} {said}".split()) for user, said in voice.examples) <= 90  # about 150 with roles
            assert voice.greeting.isprintable()

    def test_wit_moves_gadfly_and_leaves_straight_alone(self):
        gadfly, straight = load_persona("gadfly"), load_persona("straight")
        assert len({tuple(gadfly.messages(wit)) for wit in (0, 0.5, 1)}) == 3
        assert len({tuple(straight.messages(wit)) for wit in (0, 0.5, 1)}) == 1

    def test_a_gadfly_without_wit_knows_what_straight_knows(self):
        assert load_persona("gadfly").messages(0)[1:] == load_persona("straight").messages(0)[1:]


def test_messages_are_the_system_prompt_and_the_examples():
    persona = read(GOOD)
    assert persona.messages(0.49) == [Message("system", "Answer in prose.")]
    assert persona.messages(0.5) == [
        Message("system", "Answer in rhyme."),
        Message("user", "A cat?"),
        Message("assistant", "That's that."),
    ]
    assert (persona.sampling.temperature, persona.stop) == (0.7, ("The end.",))


@pytest.mark.parametrize("wit", [-0.1, 1.1, float("nan"), True, "0.5", None])
def test_wit_goes_from_0_to_1(wit: float):
    with pytest.raises(RequestError, match="wit is"):
        read(GOOD).messages(wit)


class TestOnesOwn:
    def test_a_file_adds_a_persona_and_one_of_the_same_name_wins(self, tmp_path: Path):
        (tmp_path / "bard.toml").write_text(GOOD)
        (tmp_path / "gadfly.toml").write_text(GOOD.replace("bard", "gadfly"))
        (tmp_path / "Not a name.toml").write_text("")
        assert persona_names(tmp_path) == ["bard", "gadfly", "straight"]
        assert load_persona("bard", tmp_path).description == "Rhymes."
        assert load_persona("gadfly", tmp_path).description == "Rhymes."

    def test_they_lie_under_gadfly_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
        (tmp_path / "personas").mkdir()
        (tmp_path / "personas" / "bard.toml").write_text(GOOD)
        assert load_persona("bard").name == "bard"

    @pytest.mark.parametrize(("name", "hint"), [("Gadfly", "did you mean gadfly"), ("x", "there are gadfly, straight")])
    def test_an_unknown_name_is_answered_with_what_there_is(self, name: str, hint: str, tmp_path: Path):
        with pytest.raises(NotFoundError, match=hint):
            load_persona(name, tmp_path)

    @pytest.mark.parametrize("name", ["../gadfly", "/etc/passwd", "", "gadfly.toml", "a\0b"])
    def test_a_name_never_leaves_the_folder(self, name: str, tmp_path: Path):
        with pytest.raises(NotFoundError):
            load_persona(name, tmp_path)

    def test_a_broken_file_does_not_hide_the_others(self, tmp_path: Path):
        (tmp_path / "bard.toml").write_text("name = ")
        assert load_persona("gadfly", tmp_path).name == "gadfly"
        with pytest.raises(SettingsError, match=r"bard\.toml"):
            load_persona("bard", tmp_path)

    def test_a_folder_in_place_of_a_file(self, tmp_path: Path):
        (tmp_path / "bard.toml").mkdir()
        with pytest.raises(SettingsError, match="cannot be read"):
            load_persona("bard", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("description", "desciption", "did you mean description"),
        ("temperature = 0.7", "temprature = 0.7", "did you mean temperature"),
        ("temperature = 0.7", "temperature = -1", "temperature is -1"),
        ("temperature = 0.7", "seed = 1", "'seed' means nothing"),
        ("greeting =", "greting =", "voice 1: 'greting'.*did you mean greeting"),
        ("wit = 0.5", "wit = 5", "voice 2: wit is 5"),
        ("wit = 0.5", "wit = 0", "the first has to begin at 0"),
        ("wit = 0.5", f"wit = 0x{'f' * 5000}", "cannot be read"),
        ('"bard"', '"bird"', "has to be that of the file"),
        ('"Rhymes."', "7", "description is 7"),
        ('"Rhymes."', '"  "', "description is"),
        ('["The end."]', '"The end."', "expected a list"),
        ('["The end."]', "[1]", "stop is 1"),
        ('[["A cat?", "That\'s that."]]', '["A cat?"]', "no pair"),
        ('[["A cat?", "That\'s that."]]', '[["A cat?", 3]]', "examples is 3"),
        ("[sampling]", "[[sampling]]", "expected a table"),
        ('"Answer in prose."', f'"{"x" * 5000}"', "1 to 4000 characters"),
        (GOOD, "x" * (FILE_LIMIT + 1), "larger than"),
        (GOOD, "a = " + "[" * 20_000, "cannot be read"),
        (GOOD, "", "voices begin at"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str):
    with pytest.raises(SettingsError, match=says) as error:
        read(GOOD.replace(old, new, 1))
    assert "bard.toml" in str(error.value)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_persona_or_an_error(data: bytes):
    with pytest.raises(SettingsError):
        read_persona(data, "bard.toml", "bard")


@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=30))
def test_any_change_of_a_good_file_is_a_persona_or_an_error(start: int, length: int, new: str):
    text = GOOD[:start] + new + GOOD[start + length :]
    try:
        persona = read_persona(text.encode("utf-8", "surrogatepass"), "bard.toml", "bard")
    except SettingsError as error:
        assert str(error).startswith("bard.toml")
    else:
        assert all(persona.messages(wit)[0].role == "system" for wit in (0, 0.3, 1))
