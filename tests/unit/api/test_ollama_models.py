"""Models as Ollama's own client parses what it is told of them."""

import math

import pytest
from ollama import ListResponse, ProcessResponse, ProgressResponse, ShowResponse

from gadfly.api.model_card import ModelCard
from gadfly.api.ollama_models import Loaded, pull_progress, read_copy, show, tags, version, working
from gadfly.errors import RequestError
from wire import strict

CARD = ModelCard(
    "smollm2",
    1_800_000_000.5,
    size=98_000_000,
    digest="ab12",
    format="gguf",
    family="llama",
    parameters=134_515_008,
    quantization="Q4_1",
    context=8192,
    width=576,
    licence="apache-2.0",
    template="{{ messages }}",
    capabilities=("completion", "tools"),
)


def test_those_that_are_here() -> None:
    (model,) = strict(ListResponse, tags([CARD])).models
    assert (model.model, model.size, model.digest) == ("smollm2", 98_000_000, "ab12")
    assert model.details is not None and model.modified_at is not None
    assert (model.details.parameter_size, model.details.quantization_level) == ("134.5M", "Q4_1")
    assert model.modified_at.timestamp() == 1_800_000_000.5


@pytest.mark.parametrize(("expires", "year"), [(1_800_000_000.0, 2027), (math.inf, 9999)])
def test_those_that_are_loaded(expires: float, year: int) -> None:
    (model,) = strict(ProcessResponse, working([Loaded(CARD, 150_000_000, 4096, expires)])).models
    assert (model.name, model.size, model.size_vram, model.context_length) == ("smollm2", 150_000_000, 0, 4096)
    assert model.expires_at is not None and model.expires_at.year == year


def test_what_one_is() -> None:
    found = strict(ShowResponse, show(CARD))
    assert (found.license, found.template, found.capabilities) == (
        "apache-2.0",
        "{{ messages }}",
        ["completion", "tools"],
    )
    assert found.modelinfo == {
        "general.architecture": "llama",
        "general.parameter_count": 134_515_008,
        "llama.context_length": 8192,
        "llama.embedding_length": 576,
    }


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (999, "999"), (4000, "4K"), (134_515_008, "134.5M"), (7_241_732_096, "7.242B"), (10**12, "1T")],
)
def test_sizes_as_people_write_them(count: int, words: str) -> None:
    details = tags([ModelCard("m", 0, parameters=count)])["models"][0]["details"]
    assert details["parameter_size"] == words


def test_lines_of_a_pull() -> None:
    assert pull_progress("success") == {"status": "success"}
    line = strict(ProgressResponse, pull_progress("pulling ab12", "ab12", 10, 5))
    assert (line.status, line.digest, line.total, line.completed) == ("pulling ab12", "ab12", 10, 5)
    assert version("0.1.0") == {"version": "0.1.0"}


def test_a_copy_names_two() -> None:
    assert read_copy({"source": "a:latest", "destination": "b"}) == ("a", "b")
    with pytest.raises(RequestError) as caught:
        read_copy({"source": "a"})
    assert caught.value.parameter == "destination"
