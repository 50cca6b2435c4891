"""Strengths from votes: those of the model of Bradley and Terry, and intervals that hold."""

import math
import random
from pathlib import Path

import pytest

from gadfly.chat.store import Provenance, Store
from gadfly.conversation import Message
from gadfly.evaluate.arena import ranked, votes_of


def test_two_players_have_the_odds_of_their_games() -> None:
    best, worst = ranked({("b", "a"): 3000, ("a", "b"): 1000})
    assert (best.name, best.wins, best.losses) == ("b", 3000, 1000)
    assert best.points - worst.points == pytest.approx(400 * math.log10(3), rel=0.01)
    assert best.points == pytest.approx(-worst.points) and worst.high < 0 < best.low


def test_whoever_always_wins_stays_finite_and_unsure() -> None:
    best, worst = ranked({("b", "a"): 2})
    assert 0 < best.points < 400 and best.low < 0 and worst.high > 0
    assert ranked({}) == [] == ranked({("a", "a"): 5})


def test_strengths_are_found_again_and_intervals_hold() -> None:
    true = {"a": -200.0, "b": 0.0, "c": 200.0}
    draw, held = random.Random(1), 0
    for _ in range(60):
        votes: dict[tuple[str, str], int] = {}
        for _ in range(150):
            x, y = draw.sample(sorted(true), 2)
            pair = (x, y) if draw.random() < 1 / (1 + 10 ** ((true[y] - true[x]) / 400)) else (y, x)
            votes[pair] = votes.get(pair, 0) + 1
        ranks = ranked(votes)
        assert [rank.name for rank in ranks] == ["c", "b", "a"]
        held += sum(rank.low <= true[rank.name] <= rank.high for rank in ranks)
    assert held >= 0.91 * 180


def test_votes_are_between_models_personas_and_wit_and_blind_unless_asked(tmp_path: Path) -> None:
    store = Store(tmp_path / "chats.sqlite")
    chat = store.create("").id
    asked = store.say("", chat, None, Message("user", "Rain?")).id
    origins = (
        Provenance(model="m", persona="gadfly", wit=0.7, adapters={"a": 0.5}),
        Provenance(model="m", persona="straight"),
        Provenance(model="n"),
    )
    nodes = [store.begin("", chat, asked, one).finish(Message("assistant", str(one.wit))).id for one in origins]
    store.vote("", chat, nodes[0], nodes[1], blind=True)
    store.vote("", chat, nodes[2], nodes[1])
    assert votes_of(store, "") == {("m + a=0.5, gadfly at wit 0.7", "m, straight"): 1}
    assert votes_of(store, "", blind=False)["n", "m, straight"] == 1
    store.close()
