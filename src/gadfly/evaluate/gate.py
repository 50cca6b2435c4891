"""Gates: conditions on what was measured, which a run passes or does not.

    xstest.safe_refused<=0.03          perplexity<=base*1.1          truthfulqa.mc1>=base-0.02          exact.kept>=97%

A name is that of a number, with its task where several have one of that name; a task is called by its kind or its file.
`base` is the same number of the run that this one is compared with.
"""

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gadfly.errors import RequestError
from gadfly.evaluate.judge import Verdict
from gadfly.evaluate.metric import Metric

__all__ = ["Gate"]

COMPARED = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
CHANGED = {"*": operator.mul, "+": operator.add, "-": operator.sub}
NUMBER = r"\d+(?:\.\d+)?%?"
GATE = re.compile(rf"\s*([\w.-]+)\s*(<=|>=|<|>)\s*(?:(base)(?:\s*([*+-])\s*({NUMBER}))?|(-?{NUMBER}))\s*")


@dataclass(frozen=True)
class Gate:
    """`text` is as it was written; the bound is `number`, or the base's value changed by it."""

    text: str
    name: str
    compared: str
    changed: str | None
    number: float

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """Raises RequestError for what is no gate."""
        match = GATE.fullmatch(text)
        if match is None:
            raise RequestError(f"{text!r:.80} is no gate; write xstest.safe_refused<=0.03 or perplexity<=base*1.1")
        name, compared, base, change, by, number = match.groups()
        if base:
            return cls(text, name, compared, change or "+", _number(by or "0"))
        return cls(text, name, compared, None, _number(number))

    def passed(self, verdicts: Sequence[Verdict]) -> bool:
        """Raises RequestError if there is no such number, or several; what could not be measured does not pass."""
        found = [
            (verdict.metrics[metric], verdict.base.get(metric))
            for verdict in verdicts
            for metric in verdict.metrics
            if self.name in (metric, f"{verdict.task.kind}.{metric}", f"{verdict.task.file.stem}.{metric}")
        ]
        if len(found) != 1:
            names = ", ".join(f"{one.task.file.stem}.{metric}" for one in verdicts for metric in one.metrics)
            raise RequestError(f"{'more than one' if found else 'no'} number is called {self.name}; there are {names}")
        metric, base = found[0]
        bound = self._bound(base)
        return not math.isnan(metric.value) and bool(COMPARED[self.compared](metric.value, bound))

    def _bound(self, base: Metric | None) -> float:
        if self.changed is None:
            return self.number
        if base is None or not base.count:
            raise RequestError(f"the gate {self.text} needs the base's number; compare with its run: --against FILE")
        return float(CHANGED[self.changed](base.value, self.number))


def _number(text: str) -> float:
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
