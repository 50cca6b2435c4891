"""The base is asked once what a model is held to: as it was before it learnt, whatever happens to the run meanwhile."""

import json
import shutil
from pathlib import Path

import pytest

from gadfly.answer import Prompts
from gadfly.errors import NotFoundError, RequestError, SettingsError, UnsupportedError
from gadfly.ops.torch import Torch
from gadfly.train.estimate import estimate_run
from gadfly.train.interview import PLAIN, Interview
from gadfly.train.lora import LoraConfig
from gadfly.train.run import Workshop, open_workshop
from gadfly.train.speech import spoken_ids
from gadfly.train.trainable import with_adapter
from gadfly.weights.load import open_model
from unit.train.test_run import Quiet, files, recipe, stopping_after

QUESTIONS = "Snow?\n\n  Hail?\nWhat is all this rain about, and will it ever come to an end?\nFog?\n"


class Listening(Quiet):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.problems: list[tuple[str, int]] = []
        self.answered: list[tuple[int, int]] = []

    def problem(self, file, problem) -> None:
        self.problems.append((file.name, problem.line))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def prepared(self, done: int, total: int) -> None:
        self.answered.append((done, total))


def opened(folder: Path, base: Path, *changes: str, watcher: Quiet | None = None, method: str = "sft") -> Workshop:
    (folder / "asked.txt").write_text(QUESTIONS)
    one = recipe(folder, base, method, "hold.questions=asked.txt", "hold.batch=2", *changes)
    return open_workshop(one, watcher or Quiet(), 1)


def answers(workshop: Workshop) -> list[list[dict[str, str]]]:
    (path,) = workshop.checkpoints.glob("answers-*.jsonl")
    return [json.loads(line)["messages"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("method", "changes"), [("sft", ()), ("dpo", ("lora.top_layers=1",)), ("text", ("lora.top_layers=1",))]
)
def test_a_run_that_is_stopped_and_gone_on_with_is_held_to_the_same(
    method: str, changes: tuple[str, ...], base: Path, tmp_path: Path
) -> None:
    heard = Listening()
    one = opened(tmp_path, base, *changes, watcher=heard, method=method)
    assert one.work()
    assert heard.answered[0] == (3, 3) and heard.problems == [("asked.txt", 4)]
    assert "3 questions are answered" in heard.notes[0]
    facts = json.loads((one.recipe.folder / "gadfly.json").read_text())
    assert facts["hold"] == {"weight": 4.0, "batch": 2, "samples": len(answers(one))}
    first = opened(tmp_path, base, *changes, "out=again", method=method)
    assert not first.work(stopping_after(first, 3)) and answers(first) == answers(one)
    heard = Listening()
    again = opened(tmp_path, base, *changes, "out=again", watcher=heard, method=method)
    assert again.work() and not any("questions are answered" in note for note in heard.notes)
    assert files(again.recipe.folder) == files(one.recipe.folder)


def test_the_base_answers_even_where_something_is_learnt_already(base: Path, tmp_path: Path) -> None:
    one = opened(tmp_path, base, "plan.epochs=50")
    assert not one.work(stopping_after(one, 100))
    before = answers(one)
    (path,) = one.checkpoints.glob("answers-*.jsonl")
    path.unlink()
    again = opened(tmp_path, base, "plan.epochs=50")
    assert not again.work(stopping_after(again, 101)) and answers(again) == before
    (_, ids), tokenizer = again.interview.asked[0], again.interview.prompts.tokenizer
    learnt = spoken_ids([ids], again.training.trainable, tokenizer, 40)
    assert tokenizer.decode(learnt[0]).strip() != before[0][-1]["content"]


def test_it_is_asked_in_parts_under_the_usual_system_prompt_and_stops_between_them(base: Path, tmp_path: Path) -> None:
    file, backend = open_model(base), Torch()
    prompts = Prompts.of(file)
    model = with_adapter(file.spec.within(120), file.weights.map(backend.place), LoraConfig(rank=2), 0, backend)
    (tmp_path / "asked.txt").write_text("".join(f"Is {n} odd?\n" for n in range(20)))
    found = Interview.of("asked.txt", tmp_path, "Be brief.", prompts, 120, Listening().problem)
    done: list[int] = []
    assert not found.keep(tmp_path / "said", model, done.append, lambda: bool(done))
    assert done == [16] and not (tmp_path / "said").exists()
    assert found.keep(tmp_path / "said", model, done.append, lambda: False)
    assert done == [16, 16, 20]
    lines = [json.loads(line)["messages"] for line in (tmp_path / "said").read_text().splitlines()]
    assert lines and all(one[0] == {"role": "system", "content": "Be brief."} for one in lines)
    (alone,) = spoken_ids([prompts.ids(found.asked[0][0])], model, prompts.tokenizer, 40)
    assert lines[0][1:] == [
        {"role": "user", "content": "Is 0 odd?"},
        {"role": "assistant", "content": prompts.tokenizer.decode(alone).strip()},
    ]
    other = Interview.of("asked.txt", tmp_path, None, prompts, 120, Listening().problem)
    assert other.digest != found.digest


def test_other_questions_are_another_run(base: Path, tmp_path: Path) -> None:
    one = opened(tmp_path, base)
    runs = {one.run, opened(tmp_path, base, "hold.weight=5").run, opened(tmp_path, base, "hold.weight=0").run}
    assert len(runs) == 3 and opened(tmp_path, base).run == one.run
    (tmp_path / "asked.txt").write_text("Rain?\n")
    assert open_workshop(one.recipe, Quiet(), 1).run not in runs


def test_a_plan_counts_it_and_leaves_nothing_behind(base: Path, tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text(QUESTIONS)
    free = recipe(tmp_path, base, "sft", "lora.top_layers=1")
    one = recipe(tmp_path, base, "sft", "lora.top_layers=1", "hold.questions=asked.txt")
    before, found = estimate_run(free, Quiet(), 1), estimate_run(one, Quiet(), 1)
    assert before.asking_seconds == 0 < found.asking_seconds and found.seconds > found.asking_seconds
    assert found.disk > before.disk and not (tmp_path / "out.run").exists()


def test_there_are_plain_questions_for_everybody(base: Path, tmp_path: Path) -> None:
    heard = Listening()
    found = Interview.of(PLAIN, tmp_path, None, Prompts.of(open_model(base)), 128, heard.problem)
    asked = [messages[-1].content for messages, _ in found.asked]
    assert 140 < len(set(asked)) == len(asked) and not heard.problems
    assert all(one.endswith("?") and len(one) < 80 for one in asked)


def test_what_cannot_be_asked_is_refused(base: Path, tmp_path: Path) -> None:
    def of(**changes: str) -> Workshop:
        one = recipe(tmp_path, base, "sft", *(f"hold.{name}={value}" for name, value in changes.items()))
        return open_workshop(one, Quiet(), 1)

    with pytest.raises(NotFoundError, match=r"no questions .*nowhere\.txt; name a text file .* or say 'plain'"):
        of(questions="nowhere.txt")
    with pytest.raises(RequestError, match="is not a file"):
        of(questions="data")
    for text, says in (("\n \n", "no question that fits"), ("Rain? " * 50, "no question that fits")):
        (tmp_path / "asked.txt").write_text(text)
        with pytest.raises(RequestError, match=says):
            of(questions="asked.txt")
    (tmp_path / "asked.txt").write_bytes(b"Rain?\n\xff\n")
    with pytest.raises(RequestError, match=r"asked\.txt:2: is not UTF-8"):
        of(questions="asked.txt")
    (tmp_path / "asked.txt").write_text("Rain?\n" * 200_000)
    with pytest.raises(RequestError, match="longer than 1000000 bytes"):
        of(questions="asked.txt")
    with pytest.raises(SettingsError, match="data and questions; leave out one"):
        of(questions="plain", data="plain.jsonl")
    with pytest.raises(SettingsError, match="expected a text"):
        of(questions="5")
    with pytest.raises(SettingsError, match="it learns an adapter"):
        recipe(tmp_path, base, "sft", "hold.questions=plain", "full=true")


def test_nobody_asks_a_base_without_a_template(base: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(base, tmp_path / "bare")
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(UnsupportedError, match="no chat template"):
        opened(tmp_path, bare, method="text")


def test_a_base_with_nothing_to_say_is_told(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gadfly.train.interview.spoken_ids", lambda prompts, *_: [[] for _ in prompts])
    with pytest.raises(RequestError, match="nothing to hold to"):
        opened(tmp_path, base).work()
