"""gadfly serve: models behind the APIs that programs already speak."""

import logging
import math
import signal
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.cli.first_model import choose_model
from gadfly.cli.options import adapter_option, read_adapters
from gadfly.cli.progress import showing_progress
from gadfly.errors import NotFoundError, RequestError
from gadfly.hub.library import Library
from gadfly.hub.plan import name_of_file
from gadfly.hub.progress import Progress
from gadfly.hub.pull import ensure
from gadfly.settings import Settings, home, load_settings

if TYPE_CHECKING:
    from gadfly.llm import LLM

__all__ = ["command"]


@click.command("serve")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Who can reach it: 0.0.0.0 is everybody around.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes one that is free."
)
@click.option("--api-key", "keys", multiple=True, envvar="GADFLY_API_KEY", help="A key to ask for. See gadfly keys.")
@click.option("--require-key", is_flag=True, help="Ask for a key on this machine, too.")
@click.option("--allow-host", "hosts", multiple=True, help="Another name that this server is reached by.")
@click.option("--allow-origin", "origins", multiple=True, help="Whose pages may use it: https://example.org, or *.")
@click.option("--alias", "aliases", multiple=True, metavar="NAME=MODEL", help="Another name; * stands for any.")
@click.option("--upstream", "upstreams", multiple=True, metavar="URL", help="Also serve what an engine there serves.")
@click.option("--upstream-key", envvar="GADFLY_UPSTREAM_KEY", help="The key to show to upstreams.")
@click.option("--most", type=click.IntRange(1), default=3, show_default=True, help="Models in memory at once.")
@click.option(
    "--contexts",
    type=click.IntRange(1),
    default=16,
    show_default=True,
    help="Contexts of cache that a model's requests may fill together, as far as an eighth of the free memory goes.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    help="Requests that may wait, of one client half of them.",
)
@click.option(
    "--keep-alive",
    type=click.FloatRange(0),
    default=300,
    show_default=True,
    help="Seconds that an unused one stays; 0: for ever.",
)
@adapter_option
@click.option("--context", type=int, help="Tokens a model can see. Default: all it was made for, up to 8192.")
@click.option("--threads", type=int, help="Processors to use. Default: all.")
@click.option(
    "--memory", metavar="SIZE", help="Stay below this, such as 8GiB, each time that a model is loaded; see --most."
)
@click.option(
    "--experts", type=click.Choice(["resident", "streamed", "mapped"]), help="Where experts of a mixture live."
)
@click.option("--training/--no-training", default=True, help="Whether models may be taught.  [--training]")
@click.option("--offline/--online", default=None, help="Never use the network but to serve.")
@click.option("--open", "opens", is_flag=True, help="Show the chat app in the browser.")
def command(
    models: Sequence[str],
    host: str,
    port: int,
    keys: Sequence[str],
    require_key: bool,
    hosts: Sequence[str],
    origins: Sequence[str],
    aliases: Sequence[str],
    upstreams: Sequence[str],
    upstream_key: str | None,
    most: int,
    contexts: int,
    queue: int,
    keep_alive: float,
    memory: str | None,
    adapters: Sequence[str],
    training: bool,
    offline: bool | None,
    opens: bool,
    **loading: Any,
) -> None:
    """Serve the chat app, and models to programs that speak OpenAI's, Anthropic's or Ollama's API.

    Each MODEL (a name or a file) is loaded at the start and stays; without any, the one that gadfly chat would take.
    Others of the library are loaded when they are asked for. Away from 127.0.0.1 everybody has to show a key; if there
    is none yet, one is made and shown.

    With --adapter, MODELs have adapters beside them; requests may say how strong, or ask for the model NAME+ADAPTER.

    With --upstream, models of engines elsewhere that speak OpenAI's API (vLLM, SGLang, another gadfly serve) are served
    as if they were here; several that have the same model share the load.

    \b
    gadfly serve --open
    gadfly serve smollm2 ./model.gguf --port 8000
    gadfly serve --alias gpt-4o=smollm2 --alias "*=smollm2"
    gadfly serve --host 0.0.0.0
    gadfly serve --upstream http://10.0.0.5:8000 --upstream http://10.0.0.6:8000
    """
    flags = {
        "model": models[0] if models else None,
        "threads": loading["threads"],
        "memory": memory,
        "offline": offline,
    }
    settings = load_settings(flags)
    library = Library(home())
    wanted = models or (() if upstreams else (choose_model(settings, library),))
    files = _fetched(wanted, library, settings)
    from gadfly.allocator import share_arenas
    from gadfly.chat.store import Store
    from gadfly.llm import load  # numpy, the native code and a web framework: not before a download that may fail
    from gadfly.server.app.chat_app import ChatApp
    from gadfly.server.app.sessions import Sessions
    from gadfly.server.gate import House, is_loopback
    from gadfly.server.keys import SCOPES, Key, KeyFile, digest_of, new_key
    from gadfly.server.model import Shelf
    from gadfly.server.models import Models
    from gadfly.server.remote import RemoteShelf
    from gadfly.server.run import address, listen, run_server
    from gadfly.server.service import Service
    from gadfly.server.shelf import LibraryShelf
    from gadfly.server.upstream import Pool
    from gadfly.server.workshop.workshop import Workshop

    share_arenas()

    beside = read_adapters(adapters)

    def load_file(path: Path, progress: Progress) -> "LLM":
        cache = None if settings.origins["cache"] == "default" else settings.cache
        loaded = {**loading, "threads": settings.threads, "memory": settings.memory, "cache": cache}
        own = beside if not beside or path in files.values() else None
        return load(path, max_waiting=queue, contexts=contexts, packing=progress.advance, adapters=own, **loaded)

    given = tuple(Key(f"given-{number}", digest_of(key)) for number, key in enumerate(keys, 1))
    stored = KeyFile(home())
    closed = require_key or bool(given) or not is_loopback(host)
    sessions = Sessions(home())
    house = House(
        host,
        frozenset(map(str.lower, hosts)),
        frozenset(origins),
        lambda: (*given, *stored.list()),
        closed=closed,
        sessions=sessions,
    )
    shelf: Shelf = LibraryShelf(library, files, load_file)
    if upstreams:
        shelf = RemoteShelf(remote := Pool(upstreams, upstream_key), shelf)
        if not remote.models() and not files:
            raise NotFoundError(
                f"no model is served at {', '.join(upstreams)} now; is the engine there, and the key right?"
            )
        names = (*files, *remote.models())
    else:
        names = tuple(files)
    pool = Models(shelf, tuple(files), _aliases(aliases), most, keep_alive or math.inf)
    workshop = Workshop(home(), partial(_base, library, files)) if training else None
    service = Service(pool, library=library, offline=settings.offline, default_model=names[0], workshop=workshop)
    app = ChatApp(service, Store(home() / "chats.sqlite"), home(), sessions, house.keys, closed, flags)
    _log_to_stderr()
    signal.signal(signal.SIGTERM, _end)
    with listen(host, port) as listening:
        if closed and not house.keys():
            key, text = new_key("first", SCOPES)
            click.echo(
                f"Others can reach this server, so it asks for a key. Keep this one, it is not shown again: {text}"
            )
            stored.add(key)  # afterwards: there is never a key that nobody has seen
        click.echo(_hint(address(listening), names, closed))
        if opens:
            webbrowser.open(address(listening))  # it has to wait a moment: connections are taken already
        run_server(service, house, listening, app)


def _fetched(models: Sequence[str], library: Library, settings: Settings) -> dict[str, Path]:
    """Files by the names under which they are served; what is not here yet is fetched."""
    files: dict[str, Path] = {}
    for model in models:
        with showing_progress() as progress:
            path = ensure(model, library, progress, settings.offline)
        entry = next((entry for entry in library.list() if path in (file.path for file in entry.files)), None)
        name = entry.name if entry else name_of_file(path.name)
        if name in files:
            raise RequestError(f"{model} and another model are both called {name}; serve one of them")
        files[name] = path
    return files


def _base(library: Library, files: Mapping[str, Path], model: str) -> str:
    """What `gadfly train` calls a model that is served here. Raises NotFoundError for one that lies elsewhere."""
    try:
        return library.find(model).name
    except NotFoundError:
        if model in files:
            return str(files[model].absolute())
        raise


def _aliases(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, model = text.partition("=")
        if not name or not equals or not model:
            raise click.UsageError(f"--alias {text} is no NAME=MODEL.")
        found[name] = model
    return found


def _hint(url: str, names: Sequence[str], closed: bool) -> str:
    key = "the key" if closed else "any text"
    return "\n".join(
        (
            f"Gadfly serves {', '.join(names)} at {url}",
            f"  In your browser     {url}",
            f"  OpenAI clients      OPENAI_BASE_URL={url}/v1, with {key} as OPENAI_API_KEY",
            f"  Anthropic clients   ANTHROPIC_BASE_URL={url}, with {key} as ANTHROPIC_API_KEY",
            f"  Ollama clients      OLLAMA_HOST={url}",
            "Ctrl-C ends it.",
        )
    )


def _log_to_stderr() -> None:
    """Lines as they are, one per request; what goes wrong in us, with where."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("gadfly.server")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _end(_signal: int, _frame: object) -> None:
    """What a SIGTERM does once the server, which takes it as a wish to end, has ended."""
    raise SystemExit(0)
