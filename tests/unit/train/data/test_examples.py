"""Prompts, and what a character was taught, as a model reads them."""

import json
from pathlib import Path

import pytest

from gadfly.answer import Prompts
from gadfly.conversation import Message
from gadfly.errors import NotFoundError, RequestError
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate
from gadfly.train.data.examples import read_examples

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATTY = Prompts("m", ByteTokenizer(), ChatTemplate(TEMPLATE))
PLAIN = Prompts("m", ByteTokenizer(), None)
USER, ANSWER = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}
ASKED = [Message("user", "Why?")]


def read(path: Path, prompts: Prompts = CHATTY, most: int = 1000, longest: int = 500) -> tuple[list, list]:
    problems = []
    return read_examples(path, prompts, most, longest, lambda _, problem: problems.append(problem.line)), problems


def test_a_text_has_a_prompt_in_each_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("Why?\n\n  How?  \n")
    found, _ = read(tmp_path / "p.txt")
    assert found == [CHATTY.ids(ASKED), CHATTY.ids([Message("user", "How?")])]
    assert read(tmp_path / "p.txt", PLAIN)[0][0] == PLAIN.ids(ASKED)


def test_all_that_a_model_is_trained_on_is_read(tmp_path: Path) -> None:
    lines = [
        {"messages": [USER, ANSWER]},
        {"prompt": [USER], "chosen": ANSWER, "rejected": {"role": "assistant", "content": "No."}},
        {"prompt": [USER], "reply": ANSWER, "label": True},
        {"text": "Once."},
        {"nothing": 1},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found, problems = read(tmp_path / "p.jsonl")
    whole = CHATTY.answered_ids([*ASKED, Message("assistant", "Because.")])
    assert found == [whole, whole, whole, CHATTY.text_ids("Once.")] and problems == [5]
    assert len(read(tmp_path / "p.jsonl", PLAIN)[0]) == 4


def test_no_more_is_read_than_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a question\n" * 100)
    found, _ = read(tmp_path / "p.txt", most=100, longest=25)
    assert [len(chunk) for chunk in found] == [25, 25, 25, 25]
    assert [len(chunk) for chunk in read(tmp_path / "p.txt", most=60, longest=25)[0]] == [25, 25, 10]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("\n")
    with pytest.raises(RequestError, match="has no prompts"):
        read(tmp_path / "p.txt")
    with pytest.raises(NotFoundError):
        read(tmp_path / "none.txt")
