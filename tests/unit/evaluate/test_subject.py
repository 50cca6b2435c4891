"""Scores are those of one plain forward pass, whatever was read before; outcomes come in order and fit."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gadfly
from gadfly.cli.new import command as new
from gadfly.completion import Sampling
from gadfly.conversation import Message
from gadfly.errors import ContextError, UnsupportedError
from gadfly.evaluate.question import Asking, Ranking, Reading
from gadfly.evaluate.scorer import Scorer
from gadfly.evaluate.subject import Manner, Subject
from gadfly.weights.adapter import Adapter, Pair
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.load import open_model

SIZES = ("--dim", "64", "--layers", "2", "--context", "640")
TEMPLATE = (
    "{% for m in messages %}{{ m.role[0] }}{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}a{% endif %}"
)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> gadfly.LLM:
    folder = tmp_path_factory.mktemp("model") / "m"
    assert CliRunner().invoke(new, [str(folder), *SIZES, "--tokenizer", "bytes"]).exit_code == 0
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return gadfly.load(folder, threads=1, cache=False)


def plain(llm: gadfly.LLM, prompt: list[int], continuation: list[int]) -> float:
    """One forward over all of it."""
    logits = llm.logits([*prompt, *continuation]).astype(np.float64)[len(prompt) - 1 : -1]
    return float(sum(row[token] - np.log(np.exp(row).sum()) for row, token in zip(logits, continuation, strict=True)))


@pytest.mark.parametrize("length", [1, 15, 16, 17, 300])
def test_scores_are_those_of_one_plain_forward_pass(llm: gadfly.LLM, length: int) -> None:
    random = np.random.default_rng(length)
    draw = lambda size: random.integers(3, 200, size).tolist()  # noqa: E731
    scorer, prompt = Scorer(llm), draw(length)
    for begun in (prompt, [*prompt[: length // 2], *draw(30)], prompt):  # with much, some and nothing in common
        continuations = [draw(size) for size in (1, 40, 0, 17, 290, 3, *[2] * 30)]
        found = scorer.scores(begun, continuations)
        wanted = [plain(llm, begun, one) if one else 0.0 for one in continuations[:8]]
        assert found[:8] == pytest.approx(wanted, abs=2e-3)
        assert found == scorer.scores(begun, continuations)
    with pytest.raises(ContextError, match="the context holds 640"):
        scorer.scores(prompt, [draw(640)])


def test_outcomes_of_all_kinds_of_questions_in_their_order(llm: gadfly.LLM) -> None:
    subject = Subject(llm, Manner(sampling=Sampling(temperature=0, seed=0), max_tokens=5))
    rain = (Message("user", "Rain?"),)
    questions = [
        Reading("1", "It rains."),
        *(Asking(str(number), (Message("user", f"Rain {number}?"),)) for number in range(2, 12)),
        Ranking("12", rain, ("Wet.", "Dry")),
        Ranking("13", rain, ("Wet.", "Dry"), whole=True),
        Ranking("14", (Message("user", "x" * 700),), ("Wet.", "Dry")),
        Asking("15", (Message("user", "x" * 700),)),
    ]
    found = list(subject.outcomes(questions))
    assert [question.key for question, _ in found] == [question.key for question in questions]
    outcomes = [outcome for _, outcome in found]
    assert outcomes[0]["tokens"] == len("It rains.") - 1 + llm.tokenizer.adds_bos and outcomes[0]["bytes"] == 9
    alone = llm.generate(llm.prompt_ids(questions[3].messages), max_tokens=5, temperature=0)
    assert outcomes[3] == {"said": alone.text, "finish": alone.finish_reason}
    assert [size[1:] for size in outcomes[11]["scores"]] == [[4, 4], [3, 3]]
    assert [size[1:] for size in outcomes[12]["scores"]] == [[5, 4], [4, 3]]  # and the end of the turn
    prompt = llm.prompt_ids(rain)
    assert outcomes[11]["scores"][1][0] == pytest.approx(plain(llm, prompt, llm.tokenizer.encode("Dry")), abs=2e-3)
    assert "the context holds 640" in outcomes[13]["skipped"] and "640" in outcomes[14]["skipped"]


def test_a_persona_and_a_system_prompt_lead_what_is_asked(llm: gadfly.LLM) -> None:
    question = Ranking("1", (Message("user", "Rain?"),), ("Wet.",))
    manners = (Manner(), Manner(system="Be brief."), Manner(system="Be long."))
    scores = {next(Subject(llm, manner).outcomes([question]))[1]["scores"][0][0] for manner in manners}
    assert len(scores) == 3
    mild, sharp, nobody = (Subject(llm, one).terms for one in (Manner("gadfly", 0.2), Manner("gadfly", 0.8), Manner()))
    assert mild["prompt"] != sharp["prompt"] and nobody["prompt"] is None


def test_adapters_are_as_strong_as_they_are_asked_to_be(llm: gadfly.LLM, tmp_path: Path) -> None:
    model, random = open_model(llm.path), np.random.default_rng(0)
    down, up = (random.normal(size=size).astype(np.float32) / 4 for size in ((2, 64), (64, 2)))
    write_adapter(tmp_path / "loud", Adapter({"blocks.1.mixer.output": Pair(down, up)}, 2.0), model.page)
    beside = gadfly.load(llm.path, threads=1, cache=False, adapters={tmp_path / "loud": 1.0})
    question = Ranking("1", (Message("user", "Rain? " * 9),), ("Wet.", "Water, for a while."))
    asking = Asking("2", question.messages)
    prompt, answers = beside.prompt_ids(question.messages), [beside.tokenizer.encode(one) for one in question.answers]
    found = {}
    for strength in (0.0, 0.5, 1.0):
        subject = Subject(beside, Manner(adapters={"loud": strength}, max_tokens=4))
        (_, ranked), (_, said) = subject.outcomes([question, asking])
        for score, answer in zip(ranked["scores"], answers, strict=True):
            logits = beside.logits([*prompt, *answer], {"loud": strength}).astype(np.float64)[len(prompt) - 1 : -1]
            sure = sum(row[token] - np.log(np.exp(row).sum()) for row, token in zip(logits, answer, strict=True))
            assert score[0] == pytest.approx(sure, abs=2e-3)
        alone = beside.generate(prompt, max_tokens=4, temperature=0, adapters={"loud": strength})
        assert said["said"] == alone.text
        found[strength] = ranked["scores"][0][0]
        assert subject.terms["adapters"] == ({"loud": strength} if strength else {})
    assert len(set(found.values())) == 3
    assert found[0.0] == next(Subject(llm, Manner()).outcomes([question]))[1]["scores"][0][0]


def test_a_model_that_reads_no_text_is_refused(tmp_path: Path) -> None:
    assert CliRunner().invoke(new, [str(tmp_path / "m"), *SIZES]).exit_code == 0
    with pytest.raises(UnsupportedError, match="has no tokenizer"):
        Subject(gadfly.load(tmp_path / "m", threads=1, cache=False), Manner())
