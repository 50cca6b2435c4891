"""gadfly keys: who may use a server of this user that others can reach."""

import json
from typing import Any

import click

from gadfly.server.keys import SCOPES, Key, KeyFile, new_key
from gadfly.settings import home

__all__ = ["command"]


@click.group("keys")
def command() -> None:
    """Make, list, change and remove the keys of gadfly serve.

    A running server notices at once. Only a hash of a key is kept, so a lost one is replaced, not found again.

    \b
    gadfly keys new anna
    gadfly keys new prometheus --scope metrics
    gadfly keys scope anna --add train
    gadfly keys list
    gadfly keys rm anna
    """


@command.command("new")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="What it is good for. Default: chat.")
@click.option("--per-minute", type=int, help="How many requests it may make. Default: any number.")
@click.option("--json", "as_json", is_flag=True, help="Print the key and what is known of it as JSON.")
def new(name: str, scopes: tuple[str, ...], per_minute: int | None, as_json: bool) -> None:
    """Make a key and show it, once."""
    key, text = new_key(name, scopes or ("chat",), per_minute)
    KeyFile(home()).add(key)
    click.echo(json.dumps({**_facts(key), "key": text}) if as_json else text)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def show(as_json: bool) -> None:
    """Show whose keys there are."""
    keys = KeyFile(home()).list()
    if as_json:
        click.echo(json.dumps([_facts(key) for key in keys], indent=2))
        return
    for key in keys:
        limit = f"{key.per_minute} a minute" if key.per_minute else "any number"
        click.echo(f"{key.name:<20}  {','.join(key.scopes):<20}  {limit:<14}  since {key.created[:10]}")
    if not keys:
        click.echo("There are no keys. Make one: gadfly keys new NAME")


@command.command("scope")
@click.argument("name")
@click.option("--add", "more", multiple=True, type=click.Choice(SCOPES), help="What else it is to be good for.")
@click.option("--remove", "less", multiple=True, type=click.Choice(SCOPES), help="What it is no longer good for.")
def rescope(name: str, more: tuple[str, ...], less: tuple[str, ...]) -> None:
    """Change what a key is good for; whoever has it goes on with it."""
    key = KeyFile(home()).rescope(name, more, less)
    click.echo(f"{key.name} is good for {', '.join(key.scopes)}.")


@command.command("rm")
@click.argument("names", nargs=-1, required=True)
def remove(names: tuple[str, ...]) -> None:
    """Remove keys: from now on they are good for nothing."""
    for name in names:
        KeyFile(home()).remove(name)
        click.echo(f"{name} is removed.")


def _facts(key: Key) -> dict[str, Any]:
    """All but the hash, which is nobody's business."""
    return {"name": key.name, "scopes": key.scopes, "per_minute": key.per_minute, "created": key.created}
