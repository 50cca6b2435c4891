"""gadfly list: the models that are here, or could be."""

import json
from collections.abc import Sequence

import click

from gadfly.cli.facts import entry_facts, model_facts
from gadfly.hub.catalogue import DEFAULT, Catalogue, Model
from gadfly.hub.library import Library
from gadfly.hub.progress import size_text
from gadfly.settings import home
from gadfly.weights.cache import Cache

__all__ = ["command"]


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="The whole catalogue, with what runs and what is planned.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(everything: bool, as_json: bool) -> None:
    """Show the models on this machine.

    \b
    gadfly list
    gadfly list --all
    gadfly list --json | jq -r '.[].path'
    """
    library = Library(home())
    cache = Cache(home())
    entries, catalogue = library.list(), Catalogue.load() if everything else {}
    if as_json:
        here = {entry.name: {**entry_facts(entry), "packed": cache.size(entry.path)} for entry in entries}
        known = {model.name: {**model_facts(model), "here": model.name in here} for model in catalogue.values()}
        facts = [{**known.get(name, {}), **here.get(name, {})} for name in {**known, **here}]
        click.echo(json.dumps(facts, indent=2))
        return
    if everything:
        names = {entry.name for entry in entries}
        _table(
            [("NAME", "STATUS", "SIZE", "LICENCE", "LANGUAGES", "NOTE"), *(_row(m, names) for m in catalogue.values())]
        )
    elif entries:
        rows = [("NAME", "SIZE", "LICENCE", "FROM")]
        for entry in entries:
            where = f"missing: {entry.missing()}" if entry.missing() else entry.source
            rows.append((entry.name, size_text(entry.size), entry.licence or "not stated", where))
        _table(rows)
    else:
        click.echo(
            f"No model is here yet. Fetch the default: gadfly pull {DEFAULT}. See what there is: gadfly list --all"
        )
    if size := cache.size():
        click.echo(
            f"Weights packed for quick starts take {size_text(size)} more; gadfly rm --cache drops them", err=True
        )
    for name, size in library.unfinished().items():
        click.echo(
            f"{name} is half here ({size_text(size)}): pull it again to continue, gadfly rm {name} to drop it", err=True
        )
    for error in library.damaged().values():
        click.echo(str(error), err=True)


def _row(model: Model, here: set[str]) -> tuple[str, ...]:
    languages = " ".join(model.languages[:3]) + (f" +{len(model.languages) - 3}" if len(model.languages) > 3 else "")
    licence = model.licence if model.free else f"{model.licence} (restricted)"
    size = size_text(model.size) if model.size else "-"
    return model.name, "here" if model.name in here else model.status, size, licence, languages, model.note


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
