"""What the server names by a key has words on the page; its tests see to it that they are in every language."""

import json
from pathlib import Path
from typing import get_args

from gadfly.chat.imports.reasons import REASONS, Extent
from gadfly.chat.persona import load_persona
from gadfly.hub.catalogue import Catalogue

WORDS = Path(__file__).parents[2] / "web/messages"
PAGE = {
    key: said
    for name in ("en", "pages.en")
    for key, said in json.loads((WORDS / f"{name}.json").read_text("utf-8")).items()
}


def test_why_something_was_not_taken_in():
    assert {f"import.why.{key}" for key in REASONS} == {key for key in PAGE if key.startswith("import.why.")}
    places = {key for key in PAGE if key.startswith("import.place.")}
    assert places == {f"import.place.{key}" for key in get_args(Extent)}
    for key, english in REASONS.items():
        words = PAGE[f"import.why.{key}"]
        assert (words if isinstance(words, str) else words["other"]) == english


def test_models_and_personas_are_described_as_in_the_terminal():
    for name, model in Catalogue.load().items():
        _, told, about = model.description.partition(": ")
        assert PAGE.get(f"models.about.{name}", "").lower() == about.lower() or not told
    for name in ("gadfly", "straight"):
        assert PAGE[f"persona.about.{name}"] == load_persona(name).description
