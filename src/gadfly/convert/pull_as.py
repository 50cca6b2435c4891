"""Bringing a model here from the weights that its makers publish, converted on the way.

    repository -> one file at a time, checked -> its tensors, encoded -> discarded -> the library

What is on disk at any time is the result and a few of the source's files; memory does not depend on either. Whatever is
interrupted goes on with the same command: finished tensors are not fetched again.
"""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gadfly.convert.convert import Plan, Wanted, convert_model
from gadfly.convert.fetched import Fetched
from gadfly.convert.plan import Piece
from gadfly.convert.remote import Remote, open_remote
from gadfly.errors import RequestError
from gadfly.hub.catalogue import Model as Known
from gadfly.hub.connection import Connection
from gadfly.hub.disk import require_room
from gadfly.hub.download import download
from gadfly.hub.library import Entry, Library, StoredFile
from gadfly.hub.plan import catalogue_model, name_of_file
from gadfly.hub.progress import Progress, Silent
from gadfly.hub.pull import Network, Pulled, require_name
from gadfly.hub.reference import HubChoice, Name, parse_reference
from gadfly.hub.sources import Address
from gadfly.weights.disk import held_bytes

__all__ = ["pull_as"]

MARGIN = 5_000_000_000  # bytes of the source that may be here at the same time


def pull_as(
    text: str, library: Library, network: Network, wanted: Wanted, threads: int, progress: Progress, name: str | None
) -> Pulled:
    """Raises what `gadfly.hub.pull` and `convert_model` raise."""
    require_name(name)
    reference = parse_reference(text, network.hub.endpoint)
    known: Known | None = None
    match reference:
        case Name():
            known = catalogue_model(reference.name, library)
            if known.weights is None:
                raise RequestError(
                    f"{known.name} is published converted already; gadfly pull {known.name} without --as"
                )
            repository, revision, called = known.weights, "main", name or known.name
        case HubChoice(repository, "", revision):
            called = name or name_of_file(repository)
        case _:
            raise RequestError(
                f"--as converts a repository of a hub or a name of the catalogue, not {text}; see gadfly convert"
            )
    here = next((entry for entry in library.list() if entry.name == called and not entry.missing()), None)
    if here is not None:
        if here.reference != f"{reference} as {described(wanted)}":
            raise RequestError(f"the name {called} is taken by {here.reference}; choose another one with --name")
        return Pulled(here, new=False)
    if network.offline:
        raise RequestError(f"{reference} is not on this machine, and offline mode forbids fetching it")
    with (
        Connection(network.patience) as connection,
        library.changing(called, lambda: progress.note(f"another pull of {called} is running; waiting")),
    ):
        listing = network.hub.listing(repository, revision, connection)
        target = library.place(called)
        target.unlink(missing_ok=True)  # of a pull that died before it could say what this is
        source = target.parent / "source"
        source.mkdir(exist_ok=True)
        fetched = Fetched(source, listing, network.hub, connection, progress)
        remote = open_remote(fetched, tokenizer(known, source, connection), progress)
        done = convert_model(
            remote.model, listing.revision, target, wanted, threads, progress, keeping(remote, target.parent)
        )
        added = datetime.now(UTC).isoformat(timespec="seconds")
        stored = StoredFile(target, done.size, done.sha256[target.name])
        asked = f"{reference} as {described(wanted)}"
        licence = known.licence if known else listing.licence
        entry = Entry(called, (stored,), f"{network.hub.endpoint}/{repository}", asked, licence, added, "file")
        library.add(entry)
        shutil.rmtree(source)
        return Pulled(entry, new=True)


def described(wanted: Wanted) -> str:
    form = wanted.format or (f"{wanted.size} bytes" if wanted.size else "q4_k")
    return f"{form} for streaming" if wanted.streaming else form


def tokenizer(known: Known | None, source: Path, connection: Connection) -> Path | None:
    """Of a model whose repository has none."""
    if known is None or known.tokenizer is None:
        return None
    (address,) = known.tokenizer.sources
    assert isinstance(address, Address)
    path = source / "tokenizer.model"
    if not path.exists():
        size, sha256 = known.tokenizer.size, known.tokenizer.sha256
        download(address.url, path, connection, Silent(), size=size, sha256=sha256, magic=b"")
    return path


def keeping(remote: Remote, folder: Path) -> Callable[[Plan], Callable[[Sequence[Piece]], None]]:
    """Keeps the source's files as long as a tensor needs them, and sees to it that the disk can hold it all."""

    def planned_for(plan: Plan) -> Callable[[Sequence[Piece]], None]:
        require_room(folder, plan.size - held_bytes(folder) + MARGIN)
        remote.need(piece.tensor for file in plan.tensors for piece in file.pieces)
        return lambda pieces: remote.done(piece.tensor for piece in pieces)

    return planned_for
