"""How wit becomes the strength of an adapter that plays a persona."""

import pytest

from gadfly.chat.character import Character
from gadfly.chat.persona import Persona, Voice
from gadfly.errors import ModelFileError

DIAL = [[0, 0], [0.5, 0.6], [1, 1.1]]
PERSONA = Persona("gadfly", "A test.", (Voice(0, "Be dry.", "Yes?", (("1?", "One."),)), Voice(0.6, "Sting.", "What?")))


@pytest.mark.parametrize(("wit", "strength"), [(0, 0), (0.25, 0.3), (0.5, 0.6), (0.75, 0.85), (1, 1.1)])
def test_strength_lies_between_what_was_measured(wit: float, strength: float) -> None:
    character = Character.of({"dial": DIAL}, "here")
    assert character is not None and character.strength(wit) == pytest.approx(strength)


def test_a_dial_is_level_beyond_its_ends() -> None:
    character = Character.of({"dial": [[0.2, 0.1], [0.8, 0.9]]}, "here")
    assert character is not None and [character.strength(wit) for wit in (0, 1)] == [0.1, 0.9]


def test_the_prompt_stays_and_greetings_go_by_wit() -> None:
    character = Character.of({"dial": DIAL, "persona": {"name": "gadfly", "prompt": "You are Gadfly."}}, "here")
    assert character is not None and character.plays("gadfly") and not character.plays("straight")
    cast = character.cast(PERSONA)
    for wit, greeting in ((0.1, "Yes?"), (0.9, "What?")):
        assert [message.content for message in cast.messages(wit)] == ["You are Gadfly."]
        assert cast.voice(wit).greeting == greeting


def test_without_a_dial_nobody_is_played() -> None:
    assert Character.of({"base": "smollm2"}, "here") is None
    nobody = Character.of({"dial": DIAL}, "here")
    assert nobody is not None and nobody.plays("anybody") and nobody.cast(PERSONA) is PERSONA


@pytest.mark.parametrize(
    "facts",
    [
        {"dial": []},
        {"dial": "loud"},
        {"dial": [[0, 0], [1]]},
        {"dial": [[0, 0], [1, 3]]},
        {"dial": [[0, 0], [1, True]]},
        {"dial": [[0, float("nan")]]},
        {"dial": [[0, 0], [0, 1]]},
        {"dial": [[0, 1], [1, 0.5]]},
        {"dial": DIAL, "persona": {"name": 3}},
        {"dial": DIAL, "persona": {"name": "gadfly", "prompt": "x" * 4001}},
    ],
)
def test_what_makes_no_sense_is_refused(facts: dict) -> None:
    with pytest.raises(ModelFileError, match="here: "):
        Character.of(facts, "here")
