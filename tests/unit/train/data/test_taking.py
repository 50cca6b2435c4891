"""Data of other programs in our own form, and a reason for every line that is not taken."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.lines import read_lines
from gadfly.train.data.native import native_of
from gadfly.train.data.passages import passages, without_gutenberg
from gadfly.train.data.taking import Report, take
from gadfly.train.data.terms import Terms
from unit.train.data.test_check import tables


def taken(path: Path, content: object, **options: Any) -> tuple[list[dict[str, Any]], Report]:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    report = Report()
    return [json.loads(line) for line in take(path, report, **options)], report


def said(*turns: str) -> list[dict[str, str]]:
    return [{"role": "assistant" if number % 2 else "user", "content": text} for number, text in enumerate(turns)]


Q, A = said("Rain?", "Wet.")


@pytest.mark.parametrize(
    ("line", "form", "native"),
    [
        ({"messages": [Q, A], "id": 7}, "messages", {"messages": [Q, A], "meta": {"id": 7}}),
        ({"messages": [Q, {**A, "weight": 0}, Q, A]}, "messages", {"messages": [Q, {**A, "train": False}, Q, A]}),
        (
            {"messages": [Q, {**A, "likely": [["Wet.", []]]}]},
            "messages",
            {"messages": [Q, {**A, "likely": [["Wet.", []]]}]},
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Rain?"}]}, A]},
            "messages",
            {"messages": [Q, A]},
        ),
        (
            {"conversations": [{"from": "human", "value": "Rain?"}, {"from": "gpt", "value": "Wet."}], "system": "Be."},
            "sharegpt",
            {"messages": [{"role": "system", "content": "Be."}, Q, A]},
        ),
        ({"instruction": "Rain?", "input": "", "output": "Wet."}, "alpaca", {"messages": [Q, A]}),
        (
            {"instruction": "Rain", "input": "?", "output": "Wet."},
            "alpaca",
            {"messages": [{"role": "user", "content": "Rain\n\n?"}, A]},
        ),
        ({"prompt": "Rain?", "completion": "Wet."}, "completion", {"messages": [Q, A]}),
        ({"prompt": [Q], "completion": [A]}, "completion", {"messages": [Q, A]}),
        ({"question": "Rain?", "answer": "Wet.", "weight": 2}, "completion", {"messages": [Q, A], "weight": 2}),
        (
            {"prompt": "Rain?", "chosen": "Wet.", "rejected": "Dry."},
            "pairs",
            {"prompt": [Q], "chosen": A, "rejected": {**A, "content": "Dry."}},
        ),
        (
            {"prompt": "Rain?", "chosen": [Q, A], "rejected": said("Rain?", "Dry.")},
            "pairs",
            {"prompt": [Q], "chosen": A, "rejected": {**A, "content": "Dry."}},
        ),
        (
            {
                "chosen": "\n\nHuman: Rain?\n\nAssistant: Wet.\n\nHuman: So?\n\nAssistant: Yes.",
                "rejected": "\n\nHuman: Rain?\n\nAssistant: Wet.\n\nHuman: So?\n\nAssistant: No.",
            },
            "pairs",
            {
                "prompt": said("Rain?", "Wet.", "So?"),
                "chosen": {**A, "content": "Yes."},
                "rejected": {**A, "content": "No."},
            },
        ),
        (
            {"prompt": "Rain?", "completion": "Wet.", "label": False},
            "thumbs",
            {"prompt": [Q], "reply": A, "label": False},
        ),
        ({"text": "It rains."}, "text", {"text": "It rains."}),
    ],
)
def test_every_form_is_told_by_its_keys(tmp_path: Path, line: object, form: str, native: object) -> None:
    found, report = taken(tmp_path / "a.json", [line])
    assert found == [native] and report.taken == {form: 1} and not report.refused


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"a": 1, "b": 2}, "has the keys a, b"),
        ({"messages": "hello"}, "the conversation is text"),
        ({"messages": [{"role": "narrator", "content": ""}]}, "message 1 is said by 'narrator', who is not known"),
        ({"messages": [Q, {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "message 2 calls a tool"),
        ({"messages": [Q, {"role": "assistant", "content": [{"type": "image"}]}]}, "something other than text"),
        ({"messages": [Q]}, "nothing in it is to be learnt"),
        ({"instruction": " ", "output": "Wet."}, "instruction is empty"),
        ({"prompt": "Rain?", "completion": ""}, "completion is empty"),
        ({"chosen": "a", "rejected": "b"}, "has no prompt"),
        ({"chosen": said("a", "b"), "rejected": "c"}, "of different lengths"),
        ({"chosen": said("a", "b", "c", "d"), "rejected": said("a", "x", "c", "y")}, "differ before their last"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "are the same"),
        ({"text": ""}, "text is empty"),
        (3, "is 3; expected an object"),
    ],
)
def test_every_line_that_is_not_taken_has_a_reason(tmp_path: Path, line: object, says: str) -> None:
    found, report = taken(tmp_path / "a.jsonl", f"\n{json.dumps(line)}\n" + json.dumps({"messages": [Q, A]}))
    assert len(found) == 1 and report.refused == 1
    assert report.problems[0].line == 2 and says in report.problems[0].text


def test_what_the_user_says_of_the_data_does_not_overwrite_what_it_says_of_itself(tmp_path: Path) -> None:
    lines = [{"messages": [Q, A], "meta": {"licence": "MIT"}}, {"messages": [Q, A]}]
    found, _ = taken(tmp_path / "a.json", lines, meta={"licence": "CC0-1.0", "source": "own"})
    assert [one["meta"]["licence"] for one in found] == ["MIT", "CC0-1.0"] and found[0]["meta"]["source"] == "own"


def test_where_answers_come_from_is_not_forgotten(tmp_path: Path) -> None:
    found, _ = taken(tmp_path / "a.json", [{"messages": [Q, A], "provenance": [{"message": 1, "licence": "llama2"}]}])
    verdict = Terms().verdict(found[0])
    assert verdict and verdict.training == "forbidden"


def test_tables_of_questions_and_answers(tmp_path: Path) -> None:
    found, report = taken(tmp_path / "a.csv", "question,answer\nRain?,Wet.\nRain?\n")
    assert found == [{"messages": [Q, A]}] and report.problems[0].line == 3


def test_answers_are_preferred_to_plain_ones(tmp_path: Path) -> None:
    messages = said("Rain?", "Sky, leaking.", "Snow?", "Rain, overdressed.", "Thanks.", "Bye.")
    line = {"messages": messages, "plain": ["Water.", None, "Bye."], "meta": {"id": "a"}}
    found, report = taken(
        tmp_path / "a.json", [line, {"messages": messages}, {**line, "plain": ["x"]}], from_plain=True
    )
    assert found == [
        {
            "prompt": messages[:1],
            "chosen": messages[1],
            "rejected": {"role": "assistant", "content": "Water."},
            "kind": "plain",
            "meta": {"id": "a"},
        }
    ]
    assert [one.text[:30] for one in report.problems] == ["has no plain answers", "plain is not a list of 3 texts"]


def test_a_book_becomes_passages(tmp_path: Path) -> None:
    book = "Head\n*** START OF THIS PROJECT GUTENBERG EBOOK RAIN ***\n" + "Rain falls.\n\n" * 900 + "W" * 9000
    text = book + "\n*** END OF THIS PROJECT GUTENBERG EBOOK RAIN ***\nLicence"
    found, report = taken(tmp_path / "a.txt", text)
    assert report.taken == {"text": len(found)} and len(found) > 4
    assert max(len(one["text"]) for one in found) <= 4000
    joined = "".join(one["text"] for one in found)
    assert joined.count("Rain falls.") == 900 and joined.count("W") == 9000
    assert "Head" not in joined and "Licence" not in joined
    assert without_gutenberg("*** END OF THE PROJECT GUTENBERG EBOOK X ***\nfew").endswith("few")


@given(st.text(alphabet="ab \n", max_size=200), st.integers(4, 40))
def test_no_word_of_a_text_is_lost(text: str, longest: int) -> None:
    found = list(passages(text, longest))
    assert "".join("".join(found).split()) == "".join(text.split()) and all(len(one) <= longest for one in found)


@settings(max_examples=60)
@given(st.lists(tables, max_size=4), st.booleans())
def test_whatever_is_taken_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], from_plain: bool
) -> None:
    folder = tmp_path_factory.mktemp("take")
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = Report()
    (folder / "b.jsonl").write_bytes(b"".join(take(folder / "a.jsonl", report, from_plain=from_plain)))
    for row in read_lines(folder / "b.jsonl"):
        assert type(native_of(row)).__name__ != "Problem"
    assert from_plain or report.taken.total() + report.refused == len(lines)
