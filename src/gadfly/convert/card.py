"""The card of an adapter, or of a model with adapters in its weights: what it is, what it was made from, how it did.

Markdown with the head that Hugging Face reads. It says what is known, and where nothing is known, that.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.chat.licences import training_verdict
from gadfly.chat.values import Provenance

__all__ = ["About", "card"]

TOLD = ("name", "run", "samples", "steps")  # of each of several adapters


@dataclass(frozen=True)
class About:
    """`facts` are those of the adapter, `licence` is what its makers chose; `merged` says that this is a whole model.

    `evaluations` are what gadfly eval --json says.
    """

    name: str
    base: str
    base_licence: str | None
    facts: Mapping[str, Any]
    licence: str | None = None
    evaluations: Sequence[Mapping[str, Any]] = ()
    merged: bool = False


def card(about: About) -> str:
    return "\n".join([*_head(about), *_what(about), *_made(about.facts), *_judged(about.evaluations), *_licence(about)])


def _head(about: About) -> Iterator[str]:
    licence = about.licence or about.base_licence
    yield "---"
    yield f"base_model: {json.dumps(_line(about.base))}"
    if licence:
        yield f"license: {json.dumps(_line(licence).lower())}"
    if not about.merged:
        yield "library_name: peft"
    yield "tags: [gadfly, lora]" if not about.merged else "tags: [gadfly]"
    yield "---"


def _what(about: About) -> Iterator[str]:
    yield f"\n# {_line(about.name)}\n"
    if parts := _parts(about.facts, "mixture_of"):
        yield (
            f"A mixture of characters, made with Gadfly: {_line(about.base)} with an expert for each of {len(parts)} "
            f"adapters, of which a router gives {about.facts.get('selected')} to every token. What is not in experts, "
            "such as attention, is the base's with the mean of what the adapters change there."
        )
    elif about.merged:
        yield f"{_line(about.base)} with an adapter in its weights, made with Gadfly."
    else:
        yield f"A low-rank adapter for {_line(about.base)}, made with Gadfly. It changes nothing without its base."


def _made(facts: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## How it was made\n"
    if not facts:
        yield "Nothing is known of it."
        return
    summed, mixed = _parts(facts, "sum_of"), _parts(facts, "mixture_of")
    if summed or mixed:
        yield "The sum of several adapters:\n" if summed else "An expert for each of these adapters:\n"
        for part in summed or mixed:
            told = ", ".join(f"{key} {_line(part[key])}" for key in TOLD if part.get(key))
            yield f"- at strength {part.get('strength')}{f': {told}' if told else ''}"
        if mixed:
            tokens = _line(facts.get("tokens"))
            yield f"\nThe router comes from what the base makes of {tokens} tokens; it was not trained."
        return
    yield "| | |"
    yield "|---|---|"
    for name, value in facts.items():
        if name in ("format", "version", "base"):
            continue
        shown = ", ".join(f"{key} {_line(item)}" for key, item in value.items()) if isinstance(value, dict) else value
        yield f"| {_line(name)} | {_line(shown)} |"


def _parts(facts: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = facts.get(key)
    return [part for part in found if isinstance(part, Mapping)] if isinstance(found, list) else []


def _judged(evaluations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "\n## How it did\n"
    if not evaluations:
        yield "It has not been judged."
        return
    yield "| task | number | of | value | 95 % | base |"
    yield "|---|---|---|---|---|---|"
    for evaluation in evaluations:
        for task in evaluation["tasks"]:
            for name, metric in task["metrics"].items():
                base = task.get("base", {}).get(name, {}).get("value")
                span = f"{_number(metric['low'])} – {_number(metric['high'])}"
                values = (_line(task["kind"]), _line(name), str(metric["count"]), _number(metric["value"]), span)
                yield f"| {' | '.join(values)} | {_number(base)} |"


def _licence(about: About) -> Iterator[str]:
    yield "\n## Licence\n"
    base = about.base_licence or "a licence that is not known here"
    verdict = training_verdict(Provenance(model=about.base, licence=about.base_licence))
    yield f"The base is under {_line(base)}; of models that are made of it, or trained on its answers: {verdict.why}."
    if about.licence:
        yield f"What was added is under {_line(about.licence)}."
    yield ""


def _line(value: object) -> str:
    """Within a table: on one line, without what would end a cell."""
    return " ".join(str(value).replace("|", "/").split())[:500]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"
