"""Which adapters a model is loaded with, and what is said of those that do not belong to it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gadfly.answer.beside import MOST, adapters_for
from gadfly.arch import PAGES
from gadfly.errors import ModelFileError, NotFoundError, RequestError
from gadfly.testing import random_adapter, random_weights, tiny_spec
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.likeness import likeness
from gadfly.weights.model_file import ModelFile

SPEC = tiny_spec()
LLAMA = next(page for page in PAGES if page.name == "llama")
DIAL = [[0, 0], [1, 1]]


def model(seed: int = 1, kind: str = "Q8_0", template: str = "") -> ModelFile:
    metadata = {"tokenizer.chat_template": template}
    return ModelFile(Path("m"), LLAMA, SPEC, random_weights(SPEC, seed, kind), metadata, None, lambda: None)


def put(folder: Path, **facts: object) -> Path:
    folder.parent.mkdir(exist_ok=True)
    write_adapter(folder, replace(random_adapter(SPEC, 1), facts=facts), LLAMA)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("gadfly.hub.adapters.OURS", tmp_path / "ours")
    return tmp_path


def test_a_model_is_known_by_its_numbers() -> None:
    own = likeness(SPEC, model().weights)
    assert own == likeness(SPEC, model().weights)
    assert own not in (likeness(SPEC, model(2).weights), likeness(SPEC, model(kind="Q4_0").weights))


def test_what_is_named_is_loaded_whatever_it_was_made_for(home: Path) -> None:
    own = likeness(SPEC, model().weights)
    put(home / "adapters" / "pirate", likeness=own, dial=DIAL)
    other = put(home / "other", likeness="0" * 64)
    found = adapters_for(model(), {"pirate": 0.5, str(other): 2}, home)
    assert [(one.name, one.strength) for one in found.beside] == [("pirate", 0.5), ("other", 2.0)]
    assert found.beside[0].character is not None and found.beside[1].character is None
    assert found.notes == ("other was trained on another model than this one, or on another format of it",)


def test_another_template_is_told(home: Path) -> None:
    folder = put(home / "a", template=hashlib.sha256(b"one").hexdigest())
    assert adapters_for(model(template="one"), {str(folder): 1}, home).notes == ()
    assert "another chat template" in adapters_for(model(template="two"), {str(folder): 1}, home).notes[0]


def test_on_the_shelf_only_those_made_for_it_are_taken_and_are_off(home: Path) -> None:
    own = likeness(SPEC, model().weights)
    put(home / "adapters" / "mine", likeness=own, dial=DIAL, persona={"name": "gadfly", "prompt": "Hm."})
    put(home / "adapters" / "gadfly", likeness=own, dial=DIAL, persona={"name": "gadfly", "prompt": "Hm."})
    put(home / "adapters" / "foreign", likeness="0" * 64)
    put(home / "adapters" / "unknown")
    damaged = put(home / "adapters" / "damaged", likeness=own)
    (damaged / "adapter_model.safetensors").write_bytes(b"")
    found = adapters_for(model(), None, home)
    assert [(one.name, one.strength, one.character is not None) for one in found.beside] == [
        ("gadfly", 0.0, True),
        ("mine", 0.0, False),  # plays nobody: its name is another
    ]
    assert len(found.notes) == 1 and found.notes[0].startswith("damaged is left out: ")
    assert adapters_for(model(2), None, home).adapters == ()


def test_none_and_an_empty_shelf(home: Path) -> None:
    assert adapters_for(model(), {}, home).adapters == adapters_for(model(), None, home).adapters == ()


def test_what_cannot_be_is_refused(home: Path) -> None:
    one = put(home / "a")
    with pytest.raises(NotFoundError, match="no adapter 'nothing'"):
        adapters_for(model(), {"nothing": 1}, home)
    with pytest.raises(RequestError, match="from 0"):
        adapters_for(model(), {str(one): 3}, home)
    (home / "b").mkdir()
    with pytest.raises(RequestError, match="two adapters are called 'a'"):
        adapters_for(model(), {str(one): 1, str(put(home / "b" / "a")): 1}, home)
    with pytest.raises(RequestError, match=f"{MOST + 1} adapters"):
        adapters_for(model(), {str(number): 1 for number in range(MOST + 1)}, home)
    (one / "gadfly.json").write_text(json.dumps({"dial": "x"}))
    with pytest.raises(ModelFileError, match="dial is 'x'"):
        adapters_for(model(), {str(one): 1}, home)
