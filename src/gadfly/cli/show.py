"""gadfly show: everything known of one model without opening its file."""

import json

import click

from gadfly.cli.facts import entry_facts, model_facts
from gadfly.cli.progress import showing_progress
from gadfly.errors import ModelFileError
from gadfly.hub.catalogue import Catalogue
from gadfly.hub.check import check_file
from gadfly.hub.library import Entry, Library
from gadfly.hub.progress import size_text
from gadfly.settings import home

__all__ = ["command"]


@click.command("show")
@click.argument("name")
@click.option("--check", is_flag=True, help="Read the files and compare them with their checksums.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(name: str, check: bool, as_json: bool) -> None:
    """Show what is known of a model: licence, languages, source, files. (gadfly inspect looks inside the file.)

    \b
    gadfly show smollm2
    gadfly show smollm2 --check
    """
    library, model = Library(home()), Catalogue.load().get(name)
    here = any(entry.name == name for entry in library.list())
    entry = library.find(name) if here or model is None or check else None
    if check and entry is not None:
        _check(entry)
    facts = {
        **(model_facts(model) if model else {}),
        "here": entry is not None,
        **(entry_facts(entry) if entry else {}),
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        if key != "files" and value is not None:
            click.echo(f"{key:<14}{_text(key, value)}")
    for file in entry.files if entry and len(entry.files) > 1 else ():
        click.echo(f"{'file':<14}{file.path} ({size_text(file.size)}, sha256 {file.sha256})")
    if entry is None:
        click.echo(f"Fetch it: gadfly pull {name}" if model and model.status == "runs" else "It cannot be run yet.")
    elif check:
        click.echo("Every file is what it was when it came.")


def _text(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, int):
        return size_text(value) if key in ("size", "memory") else f"{value:,}"
    return str(value)


def _check(entry: Entry) -> None:
    for file in entry.files:
        with showing_progress() as progress:
            found = check_file(file.path, progress)
        if (found.size, found.sha256) != (file.size, file.sha256):
            raise ModelFileError(
                f"{file.path} has changed since it came: sha256 {found.sha256}, expected {file.sha256}; "
                f"remove it (gadfly rm {entry.name}) and pull it again"
            )
