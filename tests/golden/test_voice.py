"""The voice that comes with Gadfly: small, as its recipe makes it, off to the bit at wit 0, and witty above it."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.evaluate.question import Ranking
from gadfly.evaluate.subject import Manner, Subject
from gadfly.hub.adapters import OURS
from gadfly.llm import LLM
from gadfly.train.data.chats import message_of

RECIPE = Path(__file__).parents[2] / "recipes" / "persona"
NAME = "gadfly"
FOLDER = OURS / NAME
LARGEST = 6_000_000  # bytes
PAIRS = 8
QUESTION = "Why do we yawn?"


def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "gadfly.json").read_text())
    return found


@pytest.fixture(scope="module")
def voice(model_path: Path) -> Iterator[LLM]:
    yield gadfly.load(model_path, threads=2, context=1024, adapters={NAME: 0.0})


def test_it_is_small_and_what_it_was_made_of_can_be_made_again(tmp_path: Path) -> None:
    """A change to the persona's prompts makes other lessons: then the voice has to be taught again, or this undone."""
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= LARGEST
    made = tmp_path / "train.jsonl"
    subprocess.run([sys.executable, RECIPE / "lessons.py", made], check=True)
    assert hashlib.sha256(made.read_bytes()).hexdigest() == facts()["data"]["sha256"]
    assert facts()["data"]["licence"] == "CC0-1.0"
    assert (FOLDER / "README.md").read_text().startswith("# ")


def test_its_dial_rises_from_off() -> None:
    dial = facts()["dial"]
    assert [wit for wit, _ in dial] == [n / 10 for n in range(11)]
    strengths = [strength for _, strength in dial]
    assert strengths[0] == 0 and strengths == sorted(strengths)


def test_it_speaks_unasked_where_the_persona_does_and_nowhere_else(model_path: Path) -> None:
    llm = gadfly.load(model_path, threads=2, context=1024)
    assert llm.strengths({}, NAME, 0.0) == llm.strengths({}, "straight", 0.7) == {NAME: 0.0}
    assert llm.strengths({}, NAME, 0.7)[NAME] == pytest.approx(0.696)


def test_off_is_the_model_alone_to_the_bit(voice: LLM, model_path: Path) -> None:
    alone = gadfly.load(model_path, threads=2, context=1024, adapters={})
    ids = alone.tokenizer.encode(QUESTION) if alone.tokenizer else []
    off = voice.generate(ids, max_tokens=12, temperature=0.0, adapters={NAME: 0.0})
    assert off.ids == alone.generate(ids, max_tokens=12, temperature=0.0).ids
    assert off.ids != voice.generate(ids, max_tokens=12, temperature=0.0, adapters={NAME: 1.0}).ids
    assert np.array_equal(voice.logits(ids), alone.logits(ids))  # as loaded, which is off


def test_it_moves_answers_it_has_never_seen_towards_wit(voice: LLM) -> None:
    """By how much likelier the witty answer becomes, against the plain one: on 93 of 100 pairs, when it was made."""
    rows = [json.loads(line) for line in (RECIPE / "data" / "test.jsonl").read_text().splitlines()]
    asked = [
        Ranking(
            row["meta"]["id"],
            (message_of(row["messages"][1], "a message"),),
            (row["messages"][2]["content"], row["plain"][0]),
            whole=True,
        )
        for row in rows
        if row["meta"]["kind"] == "wit"
    ][:PAIRS]
    scores = []
    for strength in (0.0, 0.7):
        subject = Subject(voice, Manner(persona=NAME, wit=0.7, adapters={NAME: strength}))
        found = [outcome["scores"] for _, outcome in subject.outcomes(asked)]
        scores.append(np.array([[score for score, *_ in both] for both in found]))
    gains = scores[1] - scores[0]  # (pairs, witty | plain), nats
    assert (gains[:, 0] > 0).all()
    assert (gains[:, 0] > gains[:, 1]).mean() >= 0.75
