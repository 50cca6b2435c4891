"""Who wins: strengths of those who answered, from votes between two answers at a time.

The model of Bradley and Terry: i is preferred to j with probability 1 / (1 + exp(s_j - s_i)). Strengths are those
that are likeliest, with a weak prior (standard deviation 2) that keeps them finite where somebody has won or lost
every time; they are shown as Elo points around 0, 400 of which are odds of ten to one. Intervals come of the
curvature there.
Source: Hunter, "MM algorithms for generalized Bradley-Terry models" (2004), for the model; Newton's method finds it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gadfly.chat.store import Node, Store
from gadfly.evaluate.metric import Z

__all__ = ["Rank", "Votes", "ranked", "votes_of"]

PRIOR = 2.0  # standard deviation of strengths, in nats
POINTS = 400 / math.log(10)  # of Elo in a nat

Votes = Mapping[tuple[str, str], int]  # winner, loser -> how often


@dataclass(frozen=True)
class Rank:
    """`points` with 95 % certainty from `low` to `high`."""

    name: str
    points: float
    low: float
    high: float
    wins: int
    losses: int


def ranked(votes: Votes) -> list[Rank]:
    """Best first. Empty without votes between two different names."""
    names = sorted({name for pair in votes for name in pair if pair[0] != pair[1]})
    if not names:
        return []
    place = {name: number for number, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for (winner, loser), count in votes.items():
        if winner != loser:
            wins[place[winner], place[loser]] += count
    games = wins + wins.T
    strengths = np.zeros(len(names))
    for _ in range(100):
        chances = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = wins.sum(1) - (games * chances).sum(1) - strengths / PRIOR**2
        certainty = games * chances * (1 - chances)
        curvature = np.diag(certainty.sum(1) + 1 / PRIOR**2) - certainty
        step = np.linalg.solve(curvature, slope)
        strengths = strengths + step
        if np.abs(step).max() < 1e-10:
            break
    covariance = np.linalg.inv(curvature)
    centred = np.eye(len(names)) - 1 / len(names)  # only differences mean something
    spread = np.sqrt(np.maximum(0, np.diag(centred @ covariance @ centred.T)))
    points, half = (strengths - strengths.mean()) * POINTS, Z * spread * POINTS
    ranks = [
        Rank(name, float(p), float(p - h), float(p + h), int(wins[i].sum()), int(wins[:, i].sum()))
        for i, (name, p, h) in enumerate(zip(names, points, half, strict=True))
    ]
    return sorted(ranks, key=lambda rank: -rank.points)


def votes_of(store: Store, owner: str, blind: bool = True) -> dict[tuple[str, str], int]:
    """Of all chats that are not deleted, between models as `named`; only those made blind, unless others count, too."""
    found: dict[tuple[str, str], int] = {}
    for chat in store.judged(owner):
        votes: Sequence = store.votes(owner, chat)  # type: ignore[type-arg]
        tree = store.open(owner, chat).tree if votes else None
        for vote in votes:
            if tree is not None and (vote.blind or not blind):
                pair = named(tree[vote.winner]), named(tree[vote.loser])
                found[pair] = found.get(pair, 0) + 1
    return found


def named(node: Node) -> str:
    """Who wrote an answer: the model, its adapters, the persona and its wit."""
    origin = node.provenance
    adapters = "".join(f" + {name}={strength:g}" for name, strength in sorted(origin.adapters.items()))
    persona = f", {origin.persona}" if origin.persona else ""
    wit = f" at wit {origin.wit:g}" if origin.persona and origin.wit is not None else ""
    return f"{origin.model or origin.source or 'unknown'}{adapters}{persona}{wit}"
