"""Jobs as OpenAI's client asks for them, and data in its words."""

import pytest

from gadfly.api.openai_fine_tuning_request import JobRequest, lesson, preference, read_job
from gadfly.errors import RequestError

LEAST = {"model": "smollm2", "training_file": "file-1"}


def test_what_is_absent_or_auto_is_left_to_the_recipe():
    assert read_job(LEAST) == JobRequest("smollm2", "file-1")
    assert read_job({**LEAST, "hyperparameters": {"n_epochs": "auto", "batch_size": "auto"}}) == read_job(LEAST)


def test_numbers_are_found_where_the_method_or_the_job_has_them():
    old = read_job({**LEAST, "hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 0.5}, "suffix": "a-b"})
    assert (old.epochs, old.rate, old.suffix) == (2, 0.5, "a-b")
    method = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "batch_size": 4}}}
    new = read_job({**LEAST, "method": method, "validation_file": "file-2", "seed": 3})
    assert (new.method, new.beta, new.batch, new.validation_file, new.seed) == ("dpo", 0.2, 4, "file-2", 3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": None}, "model is missing"),
        ({"training_file": ""}, "training_file"),
        ({"suffix": "../x"}, "suffix"),
        ({"suffix": "a+b"}, "suffix"),
        ({"suffix": "-"}, "suffix"),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
        ({"method": {"type": "reinforcement"}}, r"method\.type"),
        ({"hyperparameters": {"n_epochs": 0}}, r"hyperparameters\.n_epochs"),
        ({"hyperparameters": {"n_epochs": 1.5}}, r"hyperparameters\.n_epochs"),
        ({"hyperparameters": {"learning_rate_multiplier": float("nan")}}, "learning_rate_multiplier"),
        ({"hyperparameters": {"beta": 0.1}}, "belongs to the method dpo"),
        ({"hyperparameters": {}, "method": {"type": "dpo", "dpo": {"hyperparameters": {}}}}, "given twice"),
        ({"seed": -1}, "seed"),
        ({"hyperparameters": {"compute_multiplier": 1}}, r"compute_multiplier is none of .* which are n_epochs"),
        ({"metadata": {"a": 1}}, "metadata"),
    ],
)
def test_what_makes_no_sense_is_named(changed, message):
    with pytest.raises(RequestError, match=message):
        read_job({**LEAST, **changed})


def test_a_message_of_no_weight_is_not_learnt():
    said = {"role": "assistant", "content": "Yes."}
    found = lesson({"messages": [{**said, "weight": 0}, {**said, "weight": 1}, {**said, "weight": 2}, said, 7]})
    assert found["messages"] == [{**said, "train": False}, said, {**said, "weight": 2}, said, 7]
    assert lesson({"messages": 3}) == {"messages": 3}


def test_preferences_become_pairs_and_ours_stay_as_they_are():
    row = {"input": {"messages": [1]}, "preferred_output": [2], "non_preferred_output": [3]}
    assert preference(row) == {"prompt": [1], "chosen": [2], "rejected": [3]}
    assert preference({"prompt": [1]}) == {"prompt": [1]}
