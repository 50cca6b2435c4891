"""The verdict, on a laptop and on a workstation that were made up."""

from dataclasses import replace

import pytest

from gadfly.evaluate.fit import Memory
from gadfly.evaluate.fit_catalogue import published, spec_of
from gadfly.evaluate.fit_report import Candidate, report, verdict
from gadfly.hub.catalogue import Catalogue
from machines import GB, LAPTOP, WORKSTATION

CATALOGUE = Catalogue.load()


def candidate(name, here=False):
    model = CATALOGUE[name]
    obstacle = model.note if model.status == "planned" else None
    convertible = model.weights is not None
    return Candidate(name, spec_of(model), model.shape.tied, published(model), here, obstacle, convertible)


def told(name, machine, context=8192, **changes):
    return report(replace(candidate(name), **changes), machine, context)


def test_a_small_model_runs_comfortably_on_a_laptop():
    answer = told("smollm2-1.7b", LAPTOP, 4096)
    assert answer.runs and answer.chosen is answer.given and answer.given.comfort == answer.answer == "comfortable"
    assert answer.given.kernel == "Q8_0" and answer.given.needs.total > answer.download
    assert verdict(answer).startswith("smollm2-1.7b will run here comfortably: it needs")


def test_speeds_are_between_nothing_and_the_limits():
    answer = told("smollm2-1.7b", LAPTOP)
    limit = LAPTOP.speeds.read_bandwidth / answer.given.needs.weights
    assert 0.5 * limit < answer.given.prediction.decode < 1.2 * limit
    assert answer.given.prediction.prefill > answer.given.prediction.decode
    assert told("smollm2-1.7b", replace(LAPTOP, speeds=None)).given.prediction is None


def test_what_does_not_fit_as_published_is_told_what_would():
    answer = told("mistral-7b", LAPTOP)
    assert not answer.given.prediction and answer.chosen.version.name == "Q4_0" and answer.chosen.comfort == "tight"
    assert (
        not answer.runs
        and "will not run here as it is published" in verdict(answer)
        and "Q4_0 would do" in verdict(answer)
    )


def test_grok_1_on_a_laptop_and_why_not():
    answer = told("grok-1", LAPTOP)
    assert answer.answer == "no" and not answer.runs and answer.streamed is None  # not even what every token meets
    assert verdict(answer) == (
        "grok-1 does not fit here: it needs 180 GB of memory as Q4_0, and this machine has 8 GB."
    )


def test_grok_1_from_the_disk_of_a_desktop():
    desktop = replace(WORKSTATION, memory=Memory(64 * GB, 60 * GB))
    answer = told("grok-1", desktop)
    assert answer.chosen is None and 0.1 < answer.streamed.resident < 0.4
    assert 0.1 < answer.streamed.decode < 0.4 < answer.streamed.decode_many < 16 * answer.streamed.decode
    assert told("grok-1", replace(desktop, speeds=None)).streamed is None


def test_grok_1_fits_a_workstation_if_it_is_converted():
    answer = told("grok-1", WORKSTATION)
    assert answer.given.comfort == "no" and answer.chosen is answer.best and answer.chosen.version.name == "Q5_K"
    assert answer.runs and answer.disk == answer.chosen.version.file < answer.download
    assert "gadfly pull grok-1 --as q5_k does that on the way" in verdict(answer)
    alone = told("grok-1", WORKSTATION, convertible=False)
    assert (answer.answer, alone.answer) == ("converted", "file")
    assert not alone.runs and "A file in Q5_K would do" in verdict(alone)


def test_what_is_planned_would_fit_but_is_not_there_yet():
    answer = told("grok-2", WORKSTATION, obstacle="for a reason", convertible=False)
    assert answer.chosen is not None and not answer.runs and answer.answer == "planned"
    assert verdict(answer).endswith("but Gadfly cannot run it yet: for a reason.")


def test_a_full_disk_is_an_obstacle_only_for_what_is_not_here():
    full = replace(LAPTOP, disk_free=GB)
    assert told("smollm2-1.7b", full).answer == "full"
    assert not told("smollm2-1.7b", full).runs and "disk" in verdict(told("smollm2-1.7b", full))
    assert told("smollm2-1.7b", full, here=True).runs and told("smollm2-1.7b", full, here=True).download == 0


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("machine", [LAPTOP, WORKSTATION], ids=["laptop", "workstation"])
def test_a_larger_cache_never_makes_a_model_fit(name, machine):
    most = CATALOGUE[name].context
    small, large = told(name, machine, min(2048, most)), told(name, machine, most)
    assert small.given.needs.total < large.given.needs.total
    order = ("comfortable", "tight", "no")
    assert order.index(small.given.comfort) <= order.index(large.given.comfort)


def test_memory_in_use_is_said_where_it_is_why():
    busy = replace(LAPTOP, memory=Memory(8 * GB, 2 * GB))
    assert "of which 6 GB are in use" in verdict(told("mistral-7b", busy))
    assert "in use" not in verdict(told("smollm2", LAPTOP))
