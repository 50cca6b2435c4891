"""Offers: what fits, runs, is free and speaks the language."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.hub.catalogue import DEFAULT, Catalogue
from gadfly.hub.recommend import comfortable, language_of, language_warning, offer, recommend

CATALOGUE = Catalogue.load()


@pytest.mark.parametrize(
    ("memory", "language", "name"),
    [
        (1_000_000_000, "en", "smollm2"),
        (2_000_000_000, "en-GB", "smollm2-360m"),
        (8_000_000_000, "en", "smollm2-1.7b"),
        (16_000_000_000, "en", "mistral-7b"),
        (4_000_000_000, "de", "eurollm-1.7b"),
        (24_000_000_000, "de_AT", "eurollm-9b"),
        (1_000_000_000, "de", "smollm2"),
        (16_000_000_000, "tlh", "smollm2"),
        (0, "en", "smollm2"),
    ],
)
def test_the_best_for_machine_and_language(memory, language, name):
    assert recommend(memory, language, CATALOGUE).name == name


def test_comfort_leaves_a_share_of_small_machines_and_a_browser_of_large_ones():
    assert comfortable(8_000_000_000) == 4_800_000_000
    assert comfortable(256_000_000_000) == 240_000_000_000


@given(memory=st.integers(0, 2**50), language=st.sampled_from(["en", "de", "fr", "zh", "xx", "", "DE-de"]))
def test_only_what_runs_and_is_free_is_ever_offered(memory, language):
    model = recommend(memory, language, CATALOGUE)
    assert model.status == "runs" and model.free and model.files
    assert model.name == DEFAULT or (language.lower()[:2] in model.languages and model.memory < memory)


def test_planned_restricted_base_and_unconverted_models_are_not_offered():
    best = CATALOGUE["eurollm-9b"]
    for change in ({"status": "planned"}, {"free": False}, {"template": "base"}, {"files": ()}):
        catalogue = Catalogue({**CATALOGUE, best.name: replace(best, **change)})
        assert recommend(2**50, "de", catalogue).name == "eurollm-1.7b"


def test_the_offer_names_model_size_and_licence_in_the_users_language():
    model = CATALOGUE["eurollm-1.7b"]
    assert offer(model, "de") == (
        "Für diesen Rechner empfohlen: eurollm-1.7b (1.05 GB, Apache-2.0). Jetzt laden? [j/n]"
    )
    assert offer(model, "fr").endswith("Fetch it now? [y/n]")


def test_the_default_says_that_it_speaks_english():
    default = CATALOGUE[DEFAULT]
    assert language_warning(default, "en_US", CATALOGUE) is None
    german = "smollm2 spricht nur Englisch. Deutsch kann zum Beispiel eurollm-1.7b: gadfly pull eurollm-1.7b"
    assert language_warning(default, "de", CATALOGUE) == german
    assert "speaks English only. One that speaks your language is eurollm" in language_warning(default, "fr", CATALOGUE)
    assert language_warning(default, "tlh", CATALOGUE) == "smollm2 speaks English only."
    assert language_warning(CATALOGUE["eurollm-1.7b"], "de", CATALOGUE) is None
    assert language_warning(CATALOGUE["llama-3.2-1b"], "pl", CATALOGUE).startswith("llama-3.2-1b does not speak")


@pytest.mark.parametrize(
    ("environ", "tag"),
    [
        ({}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "fr:de"}, "fr"),
        ({"LANG": "C", "LANGUAGE": "fr"}, "en"),
        ({"LANG": "", "LC_MESSAGES": "pt_BR@euro"}, "pt"),
        ({"LANG": "../../etc"}, "en"),
    ],
)
def test_the_language_of_the_locale(environ, tag):
    assert language_of(environ) == tag
