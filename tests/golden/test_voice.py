"""The voice that our recipe has made: small, off to the bit at strength 0, and it moves answers."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gadfly
from gadfly.evaluate.question import Ranking
from gadfly.evaluate.subject import Manner, Subject
from gadfly.llm import LLM
from gadfly.ops.native import Native
from gadfly.train.data.chats import message_of
from gadfly.weights.adapter import merged, read_adapter
from gadfly.weights.load import open_model

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "recipes" / "persona" / "first-voice"
NAME = FOLDER.name
LARGEST = 6_000_000  # bytes
PAIRS = 8
QUESTION = "Why do we yawn?"


def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "gadfly.json").read_text())
    return found


@pytest.fixture(scope="module")
def voice(model_path: Path) -> Iterator[LLM]:
    yield gadfly.load(model_path, threads=2, context=1024, adapters={str(FOLDER): 0.0})


def test_it_is_small_and_says_what_it_was_made_of() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= LARGEST
    told = facts()
    assert hashlib.sha256((ROOT / told["data"]["file"]).read_bytes()).hexdigest() == told["data"]["sha256"]
    assert told["data"]["licence"] == "CC0-1.0"
    prompts = {
        json.loads(line)["messages"][0]["content"] for line in (ROOT / told["data"]["file"]).read_text().splitlines()
    }
    assert prompts == {told["persona"]["prompt"]}  # served as it was trained
    assert (FOLDER / "README.md").read_text().startswith("# ")


def test_its_dial_rises_from_off() -> None:
    dial = facts()["dial"]
    assert [wit for wit, _ in dial] == [n / 10 for n in range(11)]
    strengths = [strength for _, strength in dial]
    assert strengths[0] == 0 and strengths == sorted(strengths)


def test_off_is_the_model_alone_to_the_bit(voice: LLM, model_path: Path) -> None:
    alone = gadfly.load(model_path, threads=2, context=1024, adapters={})
    ids = alone.tokenizer.encode(QUESTION) if alone.tokenizer else []
    off = voice.generate(ids, max_tokens=12, temperature=0.0, adapters={str(FOLDER): 0.0})
    assert off.ids == alone.generate(ids, max_tokens=12, temperature=0.0).ids
    assert off.ids != voice.generate(ids, max_tokens=12, temperature=0.0, adapters={NAME: 1.0}).ids
    assert np.array_equal(voice.logits(ids), alone.logits(ids))  # as loaded, which is off


def test_it_moves_answers_it_has_never_seen_towards_wit(model_path: Path) -> None:
    """By how much likelier the witty answer becomes, against the plain one: on all of these pairs, when it was made."""
    rows = [json.loads(line) for line in (ROOT / "recipes/persona/data/test.jsonl").read_text().splitlines()]
    asked = [
        Ranking(
            row["meta"]["id"],
            tuple(message_of(one, "a message") for one in row["messages"][:2]),
            (row["messages"][2]["content"], row["plain"][0]),
            whole=True,
        )
        for row in rows
        if row["meta"]["kind"] == "wit"
    ][:PAIRS]
    base = open_model(model_path)
    with_it = merged(base, read_adapter(FOLDER, base.page, base.spec))
    scores = []
    for file in (base, with_it):
        llm = LLM(file, file.spec, Native(2), 1024)
        found = [outcome["scores"] for _, outcome in Subject(llm, Manner()).outcomes(asked)]
        scores.append(np.array([[score for score, *_ in both] for both in found]))
    gains = scores[1] - scores[0]  # (pairs, witty | plain), nats
    assert (gains[:, 0] > 0).all()
    assert (gains[:, 0] > gains[:, 1]).mean() >= 0.75
