"""Draw results: for every row that has a peer, how many times better ours is, on a logarithmic axis.

    python benchmarks/plot.py RESULTS... --out benchmarks/results.svg

RESULTS are files that --results of the other commands has appended to. What was measured more than once on the same
processor against the same peer is drawn as it was measured last. The picture is SVG, written by hand, in light and in
dark; it draws what is behind as plainly as what is ahead.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from math import log2
from pathlib import Path
from typing import Any

from result import number, read_results

BARS, NUMBERS = 340, 250  # pixels: widths of the columns; that of the labels is as they are long
LETTER = 6.9  # pixels, about
LINE, MARGIN = 22, 24
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-size: 17px; font-weight: 600 }
  .part { font-weight: 600 }
  .faint { fill: #888; font-size: 12px }
  .paper { fill: #fff }
  .ahead { fill: #2a7f62 }
  .behind { fill: #c8553d }
  line { stroke: #ddd }
  .even { stroke: #555 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd } .faint { fill: #999 } .paper { fill: #16191d } line { stroke: #333 } .even { stroke: #aaa }
    .ahead { fill: #4fb08e } .behind { fill: #e0795f }
  }
"""

Row = Mapping[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    picture = draw([facts for file in given.results for facts in read_results(file)])
    given.out.write_text(picture, encoding="utf-8")


def draw(results: Iterable[Mapping[str, Any]]) -> str:
    """The picture as SVG. Raises ValueError if no result has a peer."""
    parts = [(key, list(rows)) for key, rows in groupby(latest(results), key=lambda row: row["part"])]
    if not parts:
        raise ValueError("nothing to draw: none of these results was measured beside a peer")
    ratios = [row["ratio"] for _, rows in parts for row in rows]
    least, most = min(0.5, *ratios), max(2.0, *ratios)
    shared = {key: frozenset.intersection(*(frozenset(row["what"].items()) for row in rows)) for key, rows in parts}
    width_of_labels = LETTER * max(len(label(row, shared[key])) for key, rows in parts for row in rows)
    start = MARGIN + max(width_of_labels, 10 * LINE)
    ticks = [tick for tick in (0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32) if least <= tick <= most]

    def x(ratio: float) -> float:
        return start + BARS * log2(ratio / least) / log2(most / least)

    top = MARGIN + 2 * LINE
    lines, y = [], top
    for key, rows in parts:
        benchmark, setting = key
        y += 3 * LINE
        same = [described(*item) for item in rows[0]["what"].items() if item in shared[key]]
        lines += [
            text(MARGIN, y - LINE - 6, ", ".join([benchmark, *same]), "part"),
            text(MARGIN, y - 8, setting, "faint"),
        ]
        for row in rows:
            lines += [text(MARGIN, y + 12, label(row, shared[key])), *bar(row, x, start + BARS + 16, y)]
            y += LINE
    grid = [rule(x(tick), top, y, "even" if tick == 1 else "") for tick in ticks]
    scale = [text(x(tick), top - 6, f"{tick:g}×", "faint", "middle") for tick in ticks]
    title = text(MARGIN, MARGIN + 14, "How many times better than the peer", "title")
    width, height = round(start + BARS + NUMBERS + MARGIN), y + MARGIN
    paper = f'<rect class="paper" width="{width}" height="{height}"/>'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    inner = "\n".join([f"<style>{STYLE}</style>", paper, title, *grid, *scale, *lines])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{inner}\n</svg>\n'


def latest(results: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows with a peer, those of one benchmark, processor and peer together; the last of each kind."""
    found: dict[Any, Row] = {}
    for facts in sorted(results, key=lambda facts: facts["date"]):
        part = facts["benchmark"], f"{facts['processor']} · beside {facts['peer']}"
        for row in facts["rows"]:
            if row["ratio"]:
                found[part, row["unit"], tuple(row["what"].items())] = {**row, "part": part}
    return sorted(found.values(), key=lambda row: row["part"])


def label(row: Row, shared: frozenset[Any]) -> str:
    """What a row is about, but for what all rows of its part are."""
    return ", ".join(described(*item) for item in row["what"].items() if item not in shared) or row["unit"]


def bar(row: Row, x: Callable[[float], float], numbers: float, y: float) -> Sequence[str]:
    ratio = row["ratio"]
    left, right = sorted((x(1), x(ratio)))
    kind = "ahead" if ratio >= 1 else "behind"
    shown = f"{number(row['ours'])} / {number(row['theirs'])} {row['unit']}"
    return [
        f'<rect class="{kind}" x="{left:.1f}" y="{y + 2}" width="{right - left:.1f}" height="{LINE - 8}" rx="2"/>',
        text(numbers, y + 12, f"{ratio:.2f}×"),
        text(numbers + 58, y + 12, shown, "faint"),
    ]


def described(name: str, value: str | float) -> str:
    return value if isinstance(value, str) else f"{name} {value:g}"


def rule(x: float, top: float, bottom: float, kind: str) -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"{style}/>'


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


if __name__ == "__main__":
    main()
