"""A teacher that is scripted behind real HTTP semantics: what it says becomes lessons, whatever it does."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from gadfly.errors import CapacityError, NotFoundError, RequestError, UnsupportedError
from gadfly.lines import Problem
from gadfly.train.data import teacher as teaching
from gadfly.train.data.chats import Lesson, read_lessons
from gadfly.train.data.distillation import Distilled, distil, verdict
from gadfly.train.data.teacher import Teacher

Script = Callable[[dict], httpx2.Response | None]


def said(text: object, reason: str = "stop") -> httpx2.Response:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": reason}
    return httpx2.Response(200, json={"choices": [choice]})


def teacher(script: Script = lambda _: None, cards: object = ({"id": "big", "licence": "MIT"},), **options) -> Teacher:
    """Answers with what it is asked, in capitals, where `script` says nothing else."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, json={"data": cards})
        assert (request.method, request.url.path) == ("POST", "/v1/chat/completions")
        body = json.loads(request.content)
        return script(body) or said(body["messages"][-1]["content"].upper())

    return Teacher("http://there/v1", transport=httpx2.MockTransport(answer), **options)


class Heard:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.progress: list[tuple[int, int]] = []

    def problem(self, _: Path, problem: Problem) -> None:
        self.problems.append(problem)

    def answered(self, done: int, total: int) -> None:
        self.progress.append((done, total))


def prompts(folder: Path, *lines: object) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "LONGEST_WAIT", 0.01)


def test_answers_become_lessons_that_say_where_they_come_from(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "rain?"},
    ]
    asked = [{"prompt": "one"}, {"messages": [*turns, {"role": "assistant", "content": "old"}]}, {"prompt": turns[:1]}]
    heard, target = Heard(), tmp_path / "lessons.jsonl"
    with teacher() as there:
        done = distil(prompts(tmp_path, *asked, "{", {"text": "x"}), target, there, heard)
    assert done == Distilled(lessons=3, new=3, failed=0, finished=True)
    lessons = list(read_lessons(target))
    assert all(isinstance(one, Lesson) for one in lessons)
    assert [one.messages[-1].content for one in lessons] == ["ONE", "RAIN?", "HI"]
    assert lessons[1].learnt == (False, False, False, True)
    meta = lessons[0].meta
    assert (meta["source"], meta["model"], meta["licence"]) == ("teacher", "big", "MIT")
    assert heard.progress == [(1, 3), (2, 3), (3, 3)]
    assert [one.line for one in heard.problems] == [4, 5]


def test_a_system_prompt_leads_those_that_have_none(tmp_path: Path) -> None:
    target, own = tmp_path / "lessons.jsonl", {"role": "system", "content": "Shout."}
    asked = [{"prompt": "one"}, {"messages": [own, {"role": "user", "content": "two"}]}]
    with teacher() as there:
        distil(prompts(tmp_path, *asked), target, there, Heard(), system="Be short.")
    said = [[one.content for one in lesson.messages] for lesson in read_lessons(target)]
    assert said == [["Be short.", "one", "ONE"], ["Shout.", "two", "TWO"]]


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    path, target, asked = tmp_path / "p.txt", tmp_path / "lessons.jsonl", []
    path.write_text("\n".join(f"question {n}" for n in range(9)))

    def note(body: dict) -> None:
        asked.append(body["messages"][0]["content"])

    heard = Heard()
    with teacher(note) as there:
        stopped = distil(path, target, there, heard, lambda: len(heard.progress) >= 4, at_once=1)
        assert not stopped.finished and stopped.lessons == len(asked) in (4, 5, 6)  # what was under way is kept
        with target.open("ab") as file:
            file.write(b'{"messages": [{"role": "user", "con')  # a process that died
        asked.clear()
        done = distil(path, target, there, heard, at_once=3)
    assert done == Distilled(lessons=9, new=9 - stopped.lessons, failed=0, finished=True)
    assert sorted(asked) == [f"question {n}" for n in range(stopped.lessons, 9)]
    assert [one.messages[0].content for one in read_lessons(target)] == [f"question {n}" for n in range(9)]


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (lambda: said("Half an ans", "length"), "did not end within 512 tokens"),
        (lambda: said("  "), "nothing"),
        (lambda: said(None), "nothing"),
        (lambda: httpx2.Response(200, json={"choices": []}), "answered with what is none"),
        (lambda: httpx2.Response(200, text="<html>"), "answered with what is none"),
        (lambda: httpx2.Response(400, json={"error": {"message": "too long"}}), "too long"),
        (lambda: httpx2.Response(200, content=b"x" * 5_000_000), "longer than"),
    ],
)
def test_what_is_no_answer_is_left_out(tmp_path: Path, response: Callable[[], httpx2.Response], says: str) -> None:
    heard, target = Heard(), tmp_path / "lessons.jsonl"
    with teacher(lambda body: response() if "bad" in body["messages"][0]["content"] else None) as there:
        done = distil(prompts(tmp_path, {"prompt": "bad"}, {"prompt": "good"}), target, there, heard)
    assert done == Distilled(lessons=1, new=1, failed=1, finished=True)
    (problem,) = heard.problems
    assert problem.line == 1 and says in problem.text


def test_a_busy_teacher_is_asked_again_and_a_lost_one_keeps_what_there_is(tmp_path: Path) -> None:
    tries = []

    def busy(body: dict) -> httpx2.Response | None:
        tries.append(body)
        text = body["messages"][0]["content"]
        if text == "lost":
            raise httpx2.ConnectError("gone")
        return httpx2.Response(429, headers={"retry-after": "1"}, json={}) if len(tries) < 3 else None

    target = tmp_path / "lessons.jsonl"
    with teacher(busy) as there, pytest.raises(CapacityError, match="does not answer: gone"):
        distil(prompts(tmp_path, {"prompt": "one"}, {"prompt": "lost"}), target, there, Heard(), at_once=1)
    assert [one.messages[-1].content for one in read_lessons(target)] == ["ONE"]
    assert len(tries) == 3 + teaching.TRIES


def test_which_model_teaches_and_whether_it_may() -> None:
    assert verdict(teacher()).training == "free"
    assert verdict(teacher(cards=[{"id": "x/smollm2"}])).training == "free"  # as the catalogue says
    assert verdict(teacher(cards=[{"id": "grok-2", "licence": "LicenseRef-Grok-2-Community"}])).training == "forbidden"
    assert verdict(teacher(cards=[{"id": "who"}])).training == "unknown"
    two = [{"id": "a"}, {"id": "b"}]
    assert teacher(cards=two, name="b").name == "b"
    with pytest.raises(NotFoundError, match="are a, b; say which"):
        teacher(cards=two)
    with pytest.raises(NotFoundError, match="'c' is not one of them"):
        teacher(cards=two, name="c")
    with pytest.raises(CapacityError, match="no list of models"):
        teacher(cards="x")
    with pytest.raises(RequestError, match="expected http"):
        Teacher("there")


def test_what_was_likely_is_kept_if_it_is_asked_for(tmp_path: Path) -> None:
    def script(body: dict) -> httpx2.Response:
        assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
        top = [{"token": "Y", "logprob": -0.5, "bytes": [89]}, {"token": "N", "logprob": -1.5, "bytes": [78]}]
        content = [{"token": "Y", "logprob": -0.5, "bytes": [89], "top_logprobs": top}]
        choice = {"message": {"content": "Y"}, "logprobs": {"content": content}, "finish_reason": "stop"}
        return httpx2.Response(200, json={"choices": [choice]})

    with teacher(script, logprobs=2) as there:
        distil(prompts(tmp_path, {"prompt": "one"}), tmp_path / "lessons.jsonl", there, Heard())
    (line,) = (tmp_path / "lessons.jsonl").read_text().splitlines()
    assert json.loads(line)["messages"][1]["likely"] == [["Y", [["Y", -0.5], ["N", -1.5]]]]
    (lesson,) = read_lessons(tmp_path / "lessons.jsonl")
    assert lesson.likely[1][0].likely == ((b"Y", -0.5), (b"N", -1.5))


def test_a_server_that_does_not_say_what_was_likely_is_refused(tmp_path: Path) -> None:
    with teacher(logprobs=5) as there, pytest.raises(UnsupportedError, match="leave out --logprobs"):
        distil(prompts(tmp_path, {"prompt": "one"}), tmp_path / "lessons.jsonl", there, Heard())
