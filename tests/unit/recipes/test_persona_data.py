"""The conversations of recipes/persona: they can be learnt, are ours to give away, and no split asks for another's."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gadfly.train.data.chats import Lesson, read_lessons
from gadfly.train.recipe import read_recipe

RECIPE = Path(__file__).parents[3] / "recipes" / "persona"
DATA = RECIPE / "data"
LANGUAGES = {"en": DATA, "de": DATA / "de"}
SPLITS = ("train", "valid", "test")
LARGEST = 2_000_000  # bytes of all data


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def asked(row: dict[str, Any]) -> list[str]:
    """What users say in it, without what differs by writing alone."""
    return [plain(one["content"]) for one in row["messages"] if one["role"] == "user"]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_can_be_learnt_and_has_its_licence(language: str, split: str) -> None:
    file = LANGUAGES[language] / f"{split}.jsonl"
    found = list(read_lessons(file))
    assert all(isinstance(one, Lesson) for one in found), found
    for row in rows(file):
        meta, messages = row["meta"], row["messages"]
        assert (meta["licence"], meta["source"], meta["lang"]) == ("CC0-1.0", "own", language)
        assert [one["role"] for one in messages] == ["system"] + ["user", "assistant"] * (len(messages) // 2)
        assert len(row["plain"]) == len(messages) // 2, meta["id"]  # every answer has its plain twin


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_split_knows_the_conversations_of_another(language: str) -> None:
    names: dict[str, str] = {}
    first: dict[str, str] = {}
    for split in SPLITS:
        for row in rows(LANGUAGES[language] / f"{split}.jsonl"):
            assert row["meta"]["id"] not in names
            names[row["meta"]["id"]] = split
            question = asked(row)[0]
            assert first.setdefault(question, split) == split, question


def test_there_is_enough_to_learn_from_and_to_judge_by() -> None:
    sizes = {split: len(rows(DATA / f"{split}.jsonl")) for split in SPLITS}
    assert sizes["train"] >= 450 and sizes["valid"] >= 40 and sizes["test"] >= 100
    assert sum(file.stat().st_size for file in DATA.rglob("*.jsonl")) <= LARGEST


def test_facts_and_new_prompts_are_asked_nowhere_in_what_is_learnt() -> None:
    told = {question for split in SPLITS for row in rows(DATA / f"{split}.jsonl") for question in asked(row)}
    plainly = told | {plain(row["question"]) for row in rows(RECIPE / "asides.jsonl")}
    new = [row["question"] for row in rows(RECIPE / "facts.jsonl")]
    new += (RECIPE / "prompts.txt").read_text().splitlines()
    assert len(new) == len(set(new)) >= 600
    assert not plainly & set(map(plain, new))


def test_an_aside_stands_behind_an_answer_and_a_reply_alone() -> None:
    found = rows(RECIPE / "asides.jsonl")
    assert len({row["question"] for row in found}) == len(found) >= 600
    for row in found:
        written = row["asides"] if "answer" in row else row["replies"]
        assert len(written) == 2 and row.keys() in ({"question", "answer", "asides"}, {"question", "replies"}), row
        assert all(text.isprintable() for text in written), row


def test_the_recipe_learns_what_lessons_makes_and_judges_by_nothing_it_learns() -> None:
    recipe = read_recipe(RECIPE / "recipe.toml")
    assert recipe.train_files == [RECIPE / "lessons.jsonl"] and not recipe.valid_files
    tested = {
        question for split in ("valid", "test") for row in rows(DATA / f"{split}.jsonl") for question in asked(row)
    }
    assert not tested & {plain(row["question"]) for row in rows(RECIPE / "asides.jsonl")}
