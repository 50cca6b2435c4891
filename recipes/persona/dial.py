"""From strengths of an adapter to a dial whose equal steps sound equally far apart.

    python dial.py sweep.json

reads what sweep.py measured, fits a curve that never falls (Barlow et al. 1972, pool adjacent violators) to the scores
of wit, caps it where plain text or facts begin to suffer, and prints the table that belongs into gadfly.json: dial and
strength, eleven rows. Between rows the dial is read in straight lines.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gadfly.evaluate.dial import spearman

__all__ = ["isotonic", "spearman", "table"]

STEPS = 11
PERPLEXITY = 1.10  # of plain answers, times the base's
LEAST = 1.0  # facts that are said right, times the base's


def isotonic(scores: Sequence[float]) -> list[float]:
    """The closest sequence that never falls, in squares: neighbours in the wrong order share their mean."""
    blocks: list[tuple[float, int]] = []
    for score in scores:
        blocks.append((score, 1))
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    return [mean for mean, count in blocks for _ in range(count)]


def table(strengths: Sequence[float], scores: Sequence[float], cap: float) -> list[tuple[float, float]]:
    """Eleven rows of dial and strength: from 0 to `cap`, in equal steps of the fitted score."""
    within = [number for number, strength in enumerate(strengths) if strength <= cap]
    x = np.array([strengths[number] for number in within])
    y = np.array(isotonic([scores[number] for number in within]))
    y = y + np.arange(len(y)) * 1e-9  # so that flat stretches have an inverse
    dial = np.linspace(0, 1, STEPS)
    return [
        (round(float(d), 2), round(float(s), 3))
        for d, s in zip(dial, np.interp(y[0] + dial * (y[-1] - y[0]), y, x), strict=True)
    ]


def harmless(sweep: Mapping[str, Mapping[str, float]]) -> float:
    """The largest strength up to which nothing was worse than the caps allow."""
    base, cap = sweep["0"], 0.0
    for name in sorted(sweep, key=float):
        one = sweep[name]
        if one["perplexity"] > PERPLEXITY * base["perplexity"] or one["right"] < LEAST * base["right"]:
            break
        cap = float(name)
    return cap


def main() -> None:
    sweep = json.loads(Path(sys.argv[1]).read_text())
    names = sorted(sweep, key=float)
    cap = harmless(sweep)
    if not cap:
        sys.exit("even the smallest strength is worse than the caps allow; train it less, or with more plain answers")
    rows = table([float(name) for name in names], [sweep[name]["wit"] for name in names], cap)
    print(json.dumps({"dial": rows, "cap": cap}))


if __name__ == "__main__":
    main()
