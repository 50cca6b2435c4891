"""gadfly chats: the conversations that are kept on this machine."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from gadfly.chat.exports import FORMATS, pair_lines, rating_lines, write
from gadfly.chat.exports.pairs import Licences
from gadfly.chat.imports import take
from gadfly.chat.store import ChatInfo, Conversation, Node, Store
from gadfly.chat.store.values import Place
from gadfly.cli.find_chat import chat_line, chat_title, find_chat
from gadfly.cli.printable import printable
from gadfly.errors import GadflyError, RequestError
from gadfly.settings import home

__all__ = ["command"]

_IMPORT_LIMIT = 1_000_000_000  # bytes
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group("chats")
@click.option("--owner", default="", help="Whose, where gadfly serve has keys: the name of a key.")
@click.pass_context
def command(context: click.Context, owner: str) -> None:
    """List, show, find, export, import, back up and check the conversations kept here.

    They are those of gadfly chat and of the app. A CHAT is an id, its beginning, or words that only it has.

    \b
    gadfly chats list
    gadfly chats search socrates
    gadfly chats export --format html --out chats.html
    gadfly chats import conversations.zip
    gadfly chats backup ~/chats.sqlite
    """
    context.obj = owner


@command.command("list")
@click.option("--state", "place", type=click.Choice(get_args(Place)), default="active", help="Default: active.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, help="At most so many. Default: 50.")
@_JSON
@click.pass_obj
def show_list(owner: str, place: Place, limit: int, as_json: bool) -> None:
    """Show the chats there are, the latest first."""
    with opened() as store:
        chats = list(_chats(store, owner, place, limit))
    if as_json:
        click.echo(json.dumps([asdict(chat) for chat in chats], indent=2))
        return
    for chat in chats:
        click.echo(printable(chat_line(chat)))
    if not chats:
        click.echo("There are none. gadfly chat begins one.", err=True)


@command.command("show")
@click.argument("words", metavar="CHAT")
@click.option("--all", "everything", is_flag=True, help="All branches, not only the path that is shown.")
@_JSON
@click.pass_obj
def show(owner: str, words: str, everything: bool, as_json: bool) -> None:
    """Show what was said in a chat."""
    with opened() as store:
        found = store.open(owner, find_chat(store, owner, words).id)
    nodes = found.nodes if everything else found.path
    if as_json:
        click.echo(json.dumps({"chat": asdict(found.info), "nodes": [asdict(node) for node in nodes]}, indent=2))
        return
    click.echo(printable(f"{chat_title(found.info)}\n"))
    for node in nodes:
        calls = [f"{call.name}({call.arguments})" for call in node.message.tool_calls]
        said = "\n".join(filter(None, [node.message.content, *calls]))
        click.echo(printable(f"{_speaker(found, node)}: {said}\n"))


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 500), default=20, help="At most so many. Default: 20.")
@_JSON
@click.pass_obj
def search(owner: str, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find chats in which something was said; the last word may be the beginning of one."""
    with opened() as store:
        hits = store.search(owner, " ".join(words), limit)
    if as_json:
        click.echo(json.dumps([asdict(hit) for hit in hits], indent=2))
    for hit in () if as_json else hits:
        click.echo(printable(chat_line(hit.chat)))
        if hit.node is not None:
            marked = "".join(click.style(text, bold=True) if on else text for text, on in _one_line(hit.snippet))
            click.echo(f"          {marked}")
    if not hits:
        raise click.exceptions.Exit(1)


@command.command("export")
@click.argument("words", metavar="[CHAT]...", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice([*FORMATS, "pairs", "thumbs"]), default="markdown", help="Default: markdown."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file. Default: stdout.")
@click.option(
    "--licences",
    type=click.Choice(get_args(Licences)),
    default="free",
    help="Of pairs and thumbs: those that models may be trained on freely, or under conditions, or all. Default: free.",
)
@click.pass_obj
def export(owner: str, words: tuple[str, ...], form: str, out: Path | None, licences: Licences) -> None:
    """Write chats, or all of them, as Markdown, HTML or lines of JSON.

    `messages` and `sharegpt` are what trainers take; `pairs` is what was preferred to what: corrected answers, votes,
    thumbs; `thumbs` are those in no pair. Of both, what licences do not leave free to train on is left out unless it
    is asked for.
    """
    left_out: Counter[str] = Counter()
    with opened() as store:
        if form in ("pairs", "thumbs"):
            if words:
                raise click.UsageError(f"{form} are of all chats; name none.")
            pieces = (
                pair_lines(store.pairs(owner), licences, left_out)
                if form == "pairs"
                else rating_lines(store.ratings(owner), licences, left_out)
            )
        else:
            chosen = [find_chat(store, owner, one).id for one in words]
            pieces = write(form, store, owner, chosen or (chat.id for chat in _chats(store, owner, "active", None)))
        _write(pieces, out)
    for what, count in left_out.items():
        click.echo(f"{count} {form} are left out, as training on them is {what} (--licences)", err=True)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_JSON
@click.pass_obj
def take_in(owner: str, file: Path, as_json: bool) -> None:
    """Take in what another program has exported, branches included.

    ChatGPT (the zip, or conversations.json), Claude, Open WebUI, LibreChat, llama.cpp's page, lines of messages or of
    ShareGPT, and files of /save. What could not be taken is told; exit code 1 if that was everything.
    """
    with file.open("rb") as source:
        data = source.read(_IMPORT_LIMIT + 1)
    if len(data) > _IMPORT_LIMIT:
        raise RequestError(f"{file} is larger than {_IMPORT_LIMIT} bytes")
    with opened() as store:
        report = take(store, owner, data)
    if as_json:
        click.echo(json.dumps(report.table(), indent=2))
    else:
        click.echo(f"{report.taken} conversations taken in{f' ({report.format})' if report.format else ''}.")
        for one in report.skipped:
            click.echo(printable(f"{one.place}: {one.reason}"), err=True)
    if not report.taken:
        raise click.exceptions.Exit(1)


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Copy everything into one file, also while a server or a chat is running.

    To go back to it, end them and put it in place of chats.sqlite under GADFLY_HOME.
    """
    with opened() as store:
        store.backup(file)
    click.echo(f"{file} has everything, of all owners.")


@command.command("check")
@_JSON
def check(as_json: bool) -> None:
    """Read all of it and tell what is wrong: exit code 1 if anything is."""
    with opened() as store:
        problems = store.check()
    if as_json:
        click.echo(json.dumps(problems))
    elif problems:
        click.echo("\n".join(map(printable, problems)))
    else:
        click.echo("All is well.")
    if problems:
        raise click.exceptions.Exit(1)


@contextmanager
def opened() -> Iterator[Store]:
    with closing(Store(home() / "chats.sqlite")) as store:
        yield store


def _chats(store: Store, owner: str, place: Place, limit: int | None) -> Iterator[ChatInfo]:
    cursor, left = None, limit
    while left is None or left > 0:
        listing = store.chats(owner, place=place, cursor=cursor, limit=min(500, left or 500))
        yield from listing.chats
        left = None if left is None else left - len(listing.chats)
        if (cursor := listing.next) is None:
            return


def _speaker(conversation: Conversation, node: Node) -> str:
    if node.message.role == "user":
        return "You"
    siblings = conversation.tree.siblings(node.id)
    version = f" {siblings.index(node) + 1}/{len(siblings)}" if len(siblings) > 1 else ""
    return f"{(node.provenance.persona or node.message.role).capitalize()}{version}"


def _one_line(snippet: tuple[tuple[str, bool], ...]) -> list[tuple[str, bool]]:
    return [(printable(" ".join(text.split("\n"))), marked) for text, marked in snippet]


def _write(pieces: Iterator[str], out: Path | None) -> None:
    if out is None:
        for piece in pieces:
            sys.stdout.write(printable(piece) if sys.stdout.isatty() else piece)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.writelines(pieces)
    except FileExistsError:
        raise RequestError(f"{out} exists already; choose another name") from None
    except GadflyError:
        out.unlink(missing_ok=True)
        raise
    click.echo(f"Written: {out}", err=True)
