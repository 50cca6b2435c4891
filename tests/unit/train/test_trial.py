"""When a run is asked, and what."""

import json
from pathlib import Path

import pytest

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import SettingsError
from gadfly.ops.torch import Torch
from gadfly.train.data.systems import usual_system
from gadfly.train.lora import LoraConfig
from gadfly.train.trainable import with_adapter
from gadfly.train.trial import SHARE, Trial
from gadfly.weights.load import open_model
from unit.train.test_run import recipe


def test_between_first_and_last_it_is_asked_as_often_as_its_share_of_the_time_allows(base: Path) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    file, backend = open_model(base), Torch()
    model = with_adapter(file.spec.within(40), file.weights.map(backend.place), LoraConfig(rank=2), 0, backend)
    trial = Trial([("Rain?", list(b"Rain?"))], Prompts.of(file), clock)
    assert trial.due(0, 100)
    (said,) = trial.ask(model)  # which takes a second
    assert said.prompt == "Rain?" and not trial.due(1, 100) and trial.due(100, 100)
    now[0] = 2 / SHARE
    assert trial.due(2, 100)
    assert not Trial([], Prompts.of(file)).due(0, 100)


def test_the_system_prompt_that_most_have_leads_the_questions(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "Water."}]
    led = [{"role": "system", "content": "Be brief."}, *said]
    lines = [{"messages": led}, {"prompt": led[:2]}, {"messages": said}, {"messages": [1]}, {"prompt": "Rain?"}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:3]) + "{\n")
    assert usual_system([path]) == "Be brief."
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    assert usual_system([path]) is None and usual_system([]) is None
    broken = {"messages": [{"role": "system", "content": "\ud800"}, *said]}
    path.write_text("".join(json.dumps(line) + "\n" for line in (broken, broken, lines[0])))
    assert usual_system([path]) == "Be brief."


def test_a_prompt_that_is_longer_than_what_is_learnt_is_not_asked(base: Path) -> None:
    prompts = Prompts.of(open_model(base))
    longest = len(prompts.ids([Message("user", "Rain?")]))
    assert Trial.of_questions(["Rain?", "Rain, then?"], None, prompts, longest).due(0, 1)
    assert not Trial.of_questions(["Rain?"], "Be brief.", prompts, longest).due(0, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("questions=5", "expected a list of texts"),
        ('questions=[""]', "list of texts"),
        (f"questions={['a'] * 11}", "11 q"),
    ],
)
def test_questions_that_make_no_sense(base: Path, tmp_path: Path, change: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        recipe(tmp_path, base, "sft", change)
