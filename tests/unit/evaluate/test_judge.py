"""Outcomes that survive, comparisons over the same questions, and gates that bite."""

import json
from pathlib import Path

import pytest

from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.evaluate.gate import Gate
from gadfly.evaluate.journal import Journal, read_journal
from gadfly.evaluate.judge import Verdict, ask, judge
from gadfly.evaluate.metric import Metric
from gadfly.evaluate.tasks import open_task


@pytest.fixture
def task(tmp_path: Path):
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps({"question": f"{n}?", "answer": f"{n}"}) + "\n" for n in range(8)))
    return open_task(path)


class Knowing:
    """Answers the first questions right."""

    def __init__(self, right: int, stop: int = 99) -> None:
        self.right, self.stop, self.asked = right, stop, 0

    def outcomes(self, questions):
        for question in questions:
            if self.asked == self.stop:
                raise KeyboardInterrupt
            self.asked += 1
            number = int(question.messages[0].content[:-1])
            yield question, {"said": str(number) if number < self.right else "no", "finish": "stop"}


def test_a_run_goes_on_where_it_was_killed(task, tmp_path: Path) -> None:
    path, heard = tmp_path / "run.jsonl", []
    with pytest.raises(KeyboardInterrupt), Journal(path, {"model": "m"}) as journal:
        ask([task], Knowing(6, stop=3), journal, lambda *_: None)  # type: ignore[arg-type]
    with path.open("ab") as file:
        file.write(b'{"task": "' + task.id.encode()[:5])  # what was being written when it died
    rest = Knowing(6)
    with Journal(path, {"model": "m"}) as journal:
        ask([task], rest, journal, lambda _, done, total: heard.append((done, total)))  # type: ignore[arg-type]
    assert rest.asked == 5 and heard[0] == (3, 8) and heard[-1] == (8, 8)
    assert len(read_journal(path)[1]) == 8
    verdict = judge(task, read_journal(path)[1])
    assert verdict.metrics["contains"].value == 0.75 and not verdict.base


def test_outcomes_got_on_other_terms_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    Journal(path, {"model": "m", "wit": 0.5}).__exit__()
    with pytest.raises(RequestError, match=r"of another run: wit was 0\.5 and is 0\.7"):
        Journal(path, {"model": "m", "wit": 0.7})
    path.write_text("a book")
    for reader in (read_journal, lambda path: Journal(path, {})):
        with pytest.raises(RequestError, match="is no file of outcomes"):
            reader(path)
    with pytest.raises(NotFoundError):
        read_journal(tmp_path / "none")
    with pytest.raises(GadflyError, match="cannot be written"):
        Journal(tmp_path / "none" / "run.jsonl", {})


def test_what_the_base_knew_has_to_be_kept(task) -> None:
    def outcomes(right: int) -> dict:
        return {(task.id, q.key): outcome for q, outcome in Knowing(right).outcomes(task.questions)}

    base = outcomes(4)
    now = outcomes(3)
    verdict = judge(task, now, base)
    assert verdict.metrics["kept"].value == 0.75 and verdict.metrics["kept"].count == 4
    assert (verdict.metrics["contains"].value, verdict.base["contains"].value) == (3 / 8, 0.5)
    some = dict(list(now.items())[:2])
    assert judge(task, some, base).base["contains"] == judge(task, some).metrics["contains"]  # the same questions
    skipped = now | {(task.id, "1"): {"skipped": "too long"}}
    assert judge(task, skipped).skipped == 1 and judge(task, skipped).metrics["contains"].count == 7
    with pytest.raises(RequestError, match="damaged"):
        judge(task, now | {(task.id, "1"): {"scores": 3}})


def verdict(task, value: float, base: float | None = None, name: str = "contains") -> Verdict:
    known = {} if base is None else {name: Metric(base, 0, 1, 9)}
    return Verdict(task, {name: Metric(value, 0, 1, 9)}, known)


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        ("contains>=0.5", True),
        ("exact.contains > 50%", False),
        ("facts.contains<=0.5", True),
        ("contains<0.5", False),
        ("contains>=base", False),
        ("contains>=base-0.1", True),
        ("contains>=base*0.8", True),
        ("contains<= base + 2%", True),
        ("contains<base-10%", False),
    ],
)
def test_gates(task, gate: str, passes: bool) -> None:
    assert Gate.parse(gate).passed([verdict(task, 0.5, 0.6)]) is passes


def test_gates_that_cannot_be_judged(task) -> None:
    for text in ("contains", "contains=0.5", "<=3", "a<=b", "contains<=0.5 or so", "contains<=base/2"):
        with pytest.raises(RequestError, match="is no gate"):
            Gate.parse(text)
    with pytest.raises(RequestError, match=r"no number is called x; there are facts\.contains"):
        Gate.parse("x<=1").passed([verdict(task, 0.5)])
    with pytest.raises(RequestError, match="more than one number"):
        Gate.parse("contains<=1").passed([verdict(task, 0.5), verdict(task, 0.6)])
    with pytest.raises(RequestError, match="--against"):
        Gate.parse("contains<=base").passed([verdict(task, 0.5)])
    assert not Gate.parse("contains<=1").passed([verdict(task, float("nan"))])
