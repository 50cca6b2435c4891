"""The dial of a voice: equal steps of the score, none that falls, and nothing beyond where harm begins."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    file = Path(__file__).parents[3] / "recipes" / "persona" / "dial.py"
    spec = importlib.util.spec_from_file_location("persona_dial", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_curve_never_falls_and_stays_as_close_as_it_can(recipe: ModuleType) -> None:
    assert recipe.isotonic([0.1, 0.3, 0.2, 0.4]) == pytest.approx([0.1, 0.25, 0.25, 0.4])
    assert recipe.isotonic([3, 2, 1]) == pytest.approx([2, 2, 2])


def test_equal_steps_of_the_dial_are_equal_steps_of_the_score(recipe: ModuleType) -> None:
    strengths, scores = [0.0, 0.5, 1.0, 1.5], [0.2, 0.3, 0.6, 0.9]
    rows = recipe.table(strengths, scores, 1.0)
    assert [dial for dial, _ in rows] == [n / 10 for n in range(11)]
    assert rows[0][1] == 0 and rows[-1][1] == 1.0
    found = [recipe.np.interp(strength, strengths, scores) for _, strength in rows]
    assert found == pytest.approx([0.2 + 0.04 * n for n in range(11)], abs=2e-3)


def test_harm_ends_the_dial(recipe: ModuleType) -> None:
    fine = {"perplexity": 10.0, "right": 0.6}
    sweep = {"0": fine, "0.5": {"perplexity": 10.9, "right": 0.7}, "1": {"perplexity": 9.0, "right": 0.59}}
    assert recipe.harmless(sweep) == 0.5
    assert recipe.harmless({**sweep, "1": fine}) == 1.0
    assert recipe.harmless({**sweep, "0.5": {"perplexity": 11.1, "right": 0.6}}) == 0.0


def test_ranks_that_agree_correlate(recipe: ModuleType) -> None:
    assert recipe.spearman([1, 2, 3, 4], [2, 5, 7, 100]) == pytest.approx(1)
    assert recipe.spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
