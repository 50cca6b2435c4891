"""The catalogue that ships, and what becomes of a damaged one."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import SettingsError
from gadfly.hub.catalogue import DEFAULT, Catalogue
from gadfly.hub.sources import HubFile, Wheel

TEXT = (files("gadfly.hub") / "catalogue.toml").read_text("utf-8")


def test_the_default_is_the_file_every_figure_was_measured_with():
    model = Catalogue.load()[DEFAULT]
    (file,) = model.files
    assert (file.size, file.sha256[:8], model.licence, model.languages) == (
        98_362_432,
        "b179c952",
        "Apache-2.0",
        ("en",),
    )
    assert [type(source) for source in file.sources] == [HubFile, Wheel]
    assert model.status == "runs" and model.context == 8192 and model.size == 98_362_432


@pytest.mark.parametrize("family", ["Llama 3", "Mistral", "Mixtral", "Qwen2.5", "Qwen3", "Gemma 3", "Grok", "SmolLM2"])
def test_what_people_will_want_next_is_listed(family):
    assert any(model.family == family for model in Catalogue.load().values())


def test_only_what_runs_has_files_and_every_file_is_pinned():
    for model in Catalogue.load().values():
        assert bool(model.files or model.weights) == (model.status == "runs"), model.name
        assert all(file.size and file.sha256 for file in model.files), model.name
        assert model.memory > (model.size or 0), model.name
        assert model.note and model.page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("parameters = 134_515_008", 'parameters = "many"'), "smollm2.parameters is 'many'; expected a count"),
        (("free = true", "free = 1"), "smollm2.free is 1; expected true or false"),
        (("free = true\n", ""), "smollm2.free is None"),
        (("free = true", 'free = true\ncolour = "blue"'), "smollm2.colour is not a key"),
        (('status = "runs"', 'status = "perhaps"'), 'expected "runs" or "planned"'),
        (("[smollm2]", '["Smol LM"]'), "Smol LM is no name"),
        (("size = 98_362_432", "size = 0"), r"smollm2.files\[0\].size is 0"),
        (('sha256 = "b179', 'sha256 = "B179'), "64 lower-case hexadecimal"),
        (('repository = "QuantFactory/', 'repository = "../'), "expected repository"),
        (('version = "0.1.2", ', ""), "expected repository"),
        (("https://", "http://"), "page is 'http://huggingface.co"),
        (("[smollm2]", "[smollm2"), "cannot be read as TOML"),
        (("layers = 30, ", ""), "smollm2.shape.layers is missing"),
        (("heads = 9", "heads = 0"), "smollm2.shape.heads is 0; expected a count"),
        (("tied = true", "tied = 1"), "smollm2.shape.tied is 1; expected true or false"),
        (("tied = true", "tied = true, selected = 2"), "there are 0 experts"),
        (("shape = {", 'shape = { colour = "blue",'), "smollm2.shape.colour is not a key"),
        (('format = "Q4_1"\n', ""), "smollm2.format is None"),
    ],
)
def test_mistakes_are_named(change, words):
    assert change[0] in TEXT
    with pytest.raises(SettingsError, match=words):
        Catalogue.parse(TEXT.replace(*change, 1), "catalogue.toml")


def test_a_model_that_runs_has_files():
    head, _, _ = TEXT.partition("[[smollm2.files]]")
    with pytest.raises(SettingsError, match=r"smollm2\.files is missing"):
        Catalogue.parse(head, "catalogue.toml")


@given(start=st.integers(0, 2500), length=st.integers(0, 300), instead=st.text(max_size=5))
def test_damage_is_a_settings_error_or_harmless(start, length, instead):
    try:
        Catalogue.parse(TEXT[:start] + instead + TEXT[start + length : 2500], "catalogue.toml")
    except SettingsError as error:
        assert "catalogue.toml" in str(error)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)


@given(value=st.sampled_from(["1", "nan", '""', "[]", "[1]", "{}", "[{}]", "[[]]", "2026-11-01", "[{sources = 1}]"]))
@pytest.mark.parametrize("key", ["files", "languages", "description", "memory", "licence"])
def test_any_type_anywhere(key, value):
    with pytest.raises(SettingsError, match=f"x.{key}|x.description"):
        Catalogue.parse(f"[x]\n{key} = {value}\n", "catalogue.toml")
