"""The part of gadfly export that makes a mixture of characters."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.cli.printable import printable
from gadfly.errors import RequestError
from gadfly.hub.progress import Progress

if TYPE_CHECKING:
    from gadfly.convert.convert import Converted
    from gadfly.lines import Problem
    from gadfly.weights.adapter import Adapter
    from gadfly.weights.load import ModelFile

__all__ = ["mixed"]

MOST = 2048  # tokens that are read for each character
SHARED = (
    "attention is one for all experts: it has the mean of what the adapters change there. Adapters that were trained "
    'with parts = "feed-forward" in [lora] keep all that they are.'
)


Part = tuple[str, "Adapter", float]  # what the user calls it, and how strong it is


def mixed(
    model: "ModelFile",
    state: str,
    parts: Sequence[Part],
    prompts: Sequence[Path],
    selected: int | None,
    out: Path,
    format_name: str | None,
    threads: int,
    progress: Progress,
) -> tuple["Converted", Mapping[str, Any]]:
    """Write the mixture of several adapters, each with a file of prompts; what came of it, and facts for its card.

    `state` stands for model and adapters, `selected` is how many experts have each token: two if it is None.
    """
    from gadfly.answer import Prompts
    from gadfly.convert.convert import Wanted, convert_model
    from gadfly.convert.mixture import mixable, mixture, shares_attention
    from gadfly.convert.router import mean_inputs, routers
    from gadfly.train.data.examples import read_examples

    if len(parts) < 2:
        raise RequestError("a mixture is made of two or more adapters; name another, or take --merge")
    if len(prompts) != len(parts):
        raise RequestError(
            f"there are {len(parts)} adapters and {len(prompts)} files of --prompts; the router needs one for each, in "
            "the same order"
        )
    if (selected := selected or 2) > len(parts):
        raise RequestError(f"a token cannot go to {selected} of {len(parts)} experts; lower --experts-per-token")
    names, adapters = [name for name, *_ in parts], [(adapter, strength) for _, adapter, strength in parts]
    mixable(model, {name: adapter for name, adapter, _ in parts})
    asked, means = Prompts.of(model), []
    texts = [read_examples(path, asked, MOST, model.spec.context, _told) for path in prompts]
    for name, chunks in zip(names, texts, strict=True):
        progress.note(f"reading what {printable(name)} is asked: {sum(map(len, chunks)):,} tokens")
        means.append(mean_inputs(model, chunks))
    found = routers(names, means)
    state += repr((selected, [router.tobytes().hex() for router in found]))
    done = convert_model(mixture(model, adapters, found, selected), state, out, Wanted(format_name), threads, progress)
    notes = (SHARED,) if shares_attention([adapter for adapter, _ in adapters]) else ()
    facts = {
        "mixture_of": [{"name": Path(name).name, "strength": strength, **one.facts} for name, one, strength in parts],
        "selected": selected,
        "tokens": sum(len(chunk) for chunks in texts for chunk in chunks),
    }
    return replace(done, notes=(*done.notes, *notes)), facts


def _told(file: Path, problem: "Problem") -> None:
    click.echo(printable(f"{file}:{problem.line}: {problem.text}; left out"), err=True)
