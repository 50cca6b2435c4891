"""How witty a text sounds, from 0 to 1: a small classifier of witty and plain answers, in numpy.

It counts words, pairs of words and a few habits of writing, and knows nothing of meaning, so a joke without sense may
please it: it measures how far a voice has moved, not how good it is. It is learnt from answers whose prompts nothing
else in this recipe uses; whoever asks it about other prompts gets an honest score.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Wit", "pairs"]

WORD = re.compile(r"[a-zäöüß']+|[:;,.?!\"]|\d")
FEWEST = 2  # texts that a feature has to be in
STEPS, RATE = 200, 0.5


@dataclass(frozen=True)
class Wit:
    """Logistic regression: `weights` by feature, whose values are 1 for present, scaled to a text of length 1."""

    weights: dict[str, float]
    bias: float

    @classmethod
    def of(cls, witty: Sequence[str], plain: Sequence[str], decay: float = 1e-3) -> "Wit":
        """Learnt from texts of both kinds, by gradient descent with weight decay. Deterministic."""
        found = [features(text) for text in (*witty, *plain)]
        counts = Counter(name for one in found for name in one)
        names = sorted(name for name, count in counts.items() if count >= FEWEST)
        place = {name: index for index, name in enumerate(names)}
        x = np.zeros((len(found), len(names)))
        for row, one in enumerate(found):
            x[row, [place[name] for name in one if name in place]] = 1
        x /= np.sqrt(np.maximum(1, x.sum(1, keepdims=True)))
        y = np.r_[np.ones(len(witty)), np.zeros(len(plain))]
        w, bias = np.zeros(len(names)), 0.0
        for _ in range(STEPS):
            error: NDArray[np.float64] = chance(x @ w + bias) - y
            w -= RATE * 10 * (x.T @ error / len(y) + decay * w)
            bias -= RATE * float(error.mean())
        return cls(dict(zip(names, w.tolist(), strict=True)), bias)

    def score(self, text: str) -> float:
        known = [self.weights[name] for name in features(text) if name in self.weights]
        return float(chance(np.array(sum(known) / np.sqrt(max(1, len(known))) + self.bias)))


def features(text: str) -> set[str]:
    words = WORD.findall(text.lower())
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))}


def chance(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def pairs(files: Iterable[Path]) -> list[tuple[list[dict[str, str]], str, str]]:
    """What came before, the witty answer and the plain one, for every answer that has both in these files."""
    found = []
    for file in files:
        for line in file.read_text().splitlines():
            row = json.loads(line)
            messages = row["messages"]
            answers = [number for number, one in enumerate(messages) if one["role"] == "assistant"]
            for number, plain in zip(answers, row["plain"], strict=True):
                if plain != messages[number]["content"] and messages[number].get("train") is not False:
                    found.append((messages[:number], messages[number]["content"], plain))
    return found
