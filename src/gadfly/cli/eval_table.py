"""What gadfly eval has measured, as people read it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gadfly.cli.printable import printable
from gadfly.evaluate.dial import spearman

if TYPE_CHECKING:
    from gadfly.evaluate.arena import Rank
    from gadfly.evaluate.judge import Verdict

__all__ = ["dial_lines", "rank_lines", "verdict_lines"]


def verdict_lines(verdicts: "Sequence[Verdict]") -> Iterator[str]:
    """A head, and a line for each number; with what it is compared with, if anything."""
    compared = any(verdict.base for verdict in verdicts)
    yield (
        f"{'TASK':<17}{'NUMBER':<20}{'OF':>7}{'VALUE':>10}   {'95 %':<19}{'BASE':>10}".rstrip()
        if compared
        else (f"{'TASK':<17}{'NUMBER':<20}{'OF':>7}{'VALUE':>10}   95 %")
    )
    for verdict in verdicts:
        for name, metric in verdict.metrics.items():
            base = verdict.base.get(name)
            behind = f"{number(base.value):>10}" if base else ""
            span = f"{number(metric.low)} – {number(metric.high)}"
            line = f"{verdict.task.kind:<17}{name:<20}{metric.count:>7,}{number(metric.value):>10}   {span:<19}{behind}"
            yield line.rstrip()
        file = printable(verdict.task.file.name)
        if verdict.task.left_out:
            yield f"  {verdict.task.left_out:,} rows of {file} are no questions of this kind and were left out"
        if verdict.skipped:
            yield f"  {verdict.skipped:,} questions of {file} do not fit into the context (--context)"


def dial_lines(steps: Sequence[float], sweep: "Sequence[Sequence[Verdict]]") -> Iterator[str]:
    """A line for each number: its value at every step, and how it goes with the dial."""
    yield f"{'TASK':<17}{'NUMBER':<20}{'RANK':>6}" + "".join(f"{step:>8g}" for step in steps)
    for place, verdict in enumerate(sweep[-1]):
        for name in verdict.metrics:
            values = [one[place].metrics[name].value if name in one[place].metrics else float("nan") for one in sweep]
            rank = f"{spearman(steps, values):.2f}"
            yield f"{verdict.task.kind:<17}{name:<20}{rank:>6}" + "".join(f"{number(value):>8}" for value in values)


def number(value: float) -> str:
    """Three digits behind the point, fewer of what is large."""
    if value != value:
        return "–"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def rank_lines(ranks: "Sequence[Rank]") -> Iterator[str]:
    """Best first."""
    yield f"{'POINTS':>7}   {'95 %':<15}{'WON':>5}{'LOST':>6}  WHO"
    for rank in ranks:
        span = f"{rank.low:.0f} – {rank.high:.0f}"
        yield f"{rank.points:>7.0f}   {span:<15}{rank.wins:>5}{rank.losses:>6}  {printable(rank.name)}"
