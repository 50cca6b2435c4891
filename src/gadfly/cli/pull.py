"""gadfly pull: bring a model to this machine."""

import json

import click

from gadfly.cli.facts import entry_facts
from gadfly.cli.progress import showing_progress
from gadfly.cli.size import SIZE
from gadfly.convert.convert import Wanted
from gadfly.convert.pull_as import pull_as
from gadfly.hub.library import Library
from gadfly.hub.progress import size_text
from gadfly.hub.pull import Network, pull
from gadfly.settings import available_processors, home, load_settings

__all__ = ["command"]

_KEPT = {
    "file": "fetched from {source}",
    "clone": "cloned from {source}; the two are independent and share their bytes on disk",
    "link": "linked to {source}: the same bytes under a second name, so do not change that file",
    "reference": "stays at {path}, on another disk; do not move it",
}


@click.command("pull")
@click.argument("model")
@click.option("--name", help="What to call it here. Default: as the catalogue or the file does.")
@click.option("--offline/--online", default=None, help="Never use the network; only own files can be taken in then.")
@click.option("--as", "format_name", metavar="FORMAT", help="Convert what its makers publish, on the way: q4_k, q6_k …")
@click.option("--target-size", type=SIZE, help="The same, as good as it gets in so many bytes: 120GB.")
@click.option(
    "--for", "purpose", type=click.Choice(["streaming"]), help="With --as: prepared as gadfly convert --for does."
)
@click.option("--json", "as_json", is_flag=True, help="Print the entry as JSON on stdout.")
def command(
    model: str,
    name: str | None,
    offline: bool | None,
    format_name: str | None,
    target_size: int | None,
    purpose: str | None,
    as_json: bool,
) -> None:
    """Bring a model to this machine, checked, and continued where an earlier pull was interrupted.

    MODEL is a name (gadfly list --all), owner/repository[:file or quantisation] of a Hugging Face hub, the address of
    a .gguf, or a .gguf of your own, which is taken in without a second copy. HF_ENDPOINT and HF_TOKEN are honoured.

    \b
    gadfly pull smollm2
    gadfly pull HuggingFaceTB/SmolLM2-1.7B-Instruct-GGUF
    gadfly pull bartowski/EuroLLM-9B-Instruct-GGUF:Q4_K_M --name euro
    gadfly pull https://example.org/model.gguf
    gadfly pull ./model.gguf
    gadfly pull grok-1 --as q4_k
    gadfly pull grok-1 --as q4_0 --for streaming
    """
    if format_name and target_size:
        raise click.UsageError("--as and --target-size exclude each other.")
    if purpose and not (format_name or target_size):
        raise click.UsageError("--for prepares what is converted: give --as or --target-size, or see gadfly convert.")
    settings = load_settings({"offline": offline})
    with showing_progress() as progress:
        library, network = Library(home()), Network.from_environment(offline=settings.offline)
        if format_name or target_size:
            wanted = Wanted(format_name, target_size, streaming=purpose == "streaming")
            pulled = pull_as(model, library, network, wanted, available_processors(), progress, name)
        else:
            pulled = pull(model, library, network, progress, name)
    entry = pulled.entry
    if as_json:
        click.echo(json.dumps({**entry_facts(entry), "new": pulled.new}))
    elif pulled.new:
        how = _KEPT[entry.kept].format(source=entry.source, path=entry.path)
        click.echo(f"{entry.name} is here: {size_text(entry.size)}, {how}.")
        click.echo(f"Talk to it: gadfly chat {entry.name}")
    else:
        click.echo(f"{entry.name} is here already: {size_text(entry.size)}, {entry.path}")
