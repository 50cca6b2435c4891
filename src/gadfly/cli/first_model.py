"""Which model a conversation starts with when nobody has said: on the first start, one is offered.

Used by the commands that talk. Fetching it is their next step (`gadfly.hub.pull.ensure`).
"""

import os
import sys

import click

from gadfly.hub.catalogue import DEFAULT, Catalogue
from gadfly.hub.library import Library
from gadfly.hub.memory import memory_here
from gadfly.hub.recommend import language_of, language_warning, offer, recommend
from gadfly.settings import Settings

__all__ = ["choose_model"]


def choose_model(settings: Settings, library: Library) -> str:
    """The model the user has set; else the default if it is here; else the newest model that is; else what is offered.

    The best free model for this machine and language is offered, with one key, where there is a terminal to ask on and
    a hub that answers; otherwise, and for any other key, it is the small default.
    """
    if settings.origins.get("model") != "default" or library.resolve(settings.model):
        return settings.model
    here = [entry for entry in library.list() if not entry.missing()]
    if here:
        return max(here, key=lambda entry: entry.added).name
    catalogue, language = Catalogue.load(), language_of(os.environ)
    best = recommend(memory_here(), language, catalogue)
    asking = all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr))
    if best.name != DEFAULT and asking and _hub_answers(settings.offline):
        click.echo(f"{offer(best, language)} ", err=True, nl=False)
        yes = click.getchar().lower() in ("y", "j", "\r", "\n")
        click.echo("y" if yes else "n", err=True)
        if yes:
            return best.name
    if warning := language_warning(catalogue[DEFAULT], language, catalogue):
        click.echo(warning, err=True)
    return DEFAULT


def _hub_answers(offline: bool) -> bool:
    from gadfly.hub.pull import Network

    return Network.from_environment(offline=offline).answers()
