"""The catalogue's sizes: they add up to what is said of each model."""

import pytest

from gadfly.arch.grok1 import release_spec
from gadfly.arch.grok1_release import Hyperparameters
from gadfly.evaluate.fit import INT8, opened
from gadfly.evaluate.fit_catalogue import nearest, published, spec_of
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.library import Library
from gadfly.model.cost import Cost
from gadfly.quant import FORMATS
from gadfly.settings import home
from gadfly.weights.load import open_model

CATALOGUE = Catalogue.load()


@pytest.mark.parametrize("name", CATALOGUE)
def test_sizes_add_up_to_the_parameters_that_are_stated(name):
    model = CATALOGUE[name]
    exact = 1e-3 if model.status == "runs" else 0.015  # rounded, and biases are not counted
    assert Cost.of(spec_of(model), model.shape.tied).parameters == pytest.approx(model.parameters, rel=exact)


@pytest.mark.parametrize("name", [model.name for model in CATALOGUE.values() if model.files])
def test_files_are_about_as_large_as_their_format_makes_them(name):
    from gadfly.evaluate.fit import quantised

    model = CATALOGUE[name]
    assert model.format in FORMATS
    guessed = quantised(spec_of(model), model.shape.tied, model.format).file
    assert guessed == pytest.approx(model.size, rel=0.07) and published(model).file == model.size


def test_grok_1_is_the_release():
    spec, released = spec_of(CATALOGUE["grok-1"]), release_spec(Hyperparameters())
    vectors = {path for path, shape in released.shapes() if len(shape) == 1}
    assert dict(spec.shapes()).items() <= dict(released.shapes()).items()
    assert dict(released.shapes()).keys() - dict(spec.shapes()).keys() <= vectors  # norms behind the halves
    assert CATALOGUE["grok-1"].format == INT8


def test_grok_2_has_a_dense_branch_beside_its_experts():
    spec = spec_of(CATALOGUE["grok-2"])
    cost = Cost.of(spec, tied=False)
    assert cost.parameters == pytest.approx(269_515_497_472, rel=1e-5)
    assert cost.matrix_parameters == pytest.approx(113_822_932_992, rel=1e-4)


def test_the_default_model_is_what_the_catalogue_says():
    path = Library(home()).resolve("smollm2")
    if path is None:
        pytest.skip("the default model is not here; run `make model`")
    model, found = CATALOGUE["smollm2"], opened(open_model(path))
    assert dict(found.spec.shapes()) == dict(spec_of(model).shapes())
    assert found.formats == published(model).formats and found.name == model.format


def test_the_nearest_is_the_largest_free_one_that_runs_and_is_comfortable():
    small = {"smollm2", "smollm2-360m", "eurollm-1.7b", "mixtral-8x7b", "llama-3.2-1b"}
    assert nearest(CATALOGUE.values(), lambda _: "no") is None
    chosen = nearest([CATALOGUE[name] for name in small], lambda _: "comfortable")
    assert chosen is CATALOGUE["eurollm-1.7b"]
