"""gadfly convert: a model from one kind of file into another, quantised on the way."""

import json
from pathlib import Path

import click

from gadfly.cli.progress import showing_progress
from gadfly.cli.size import SIZE
from gadfly.convert.convert import Converted, Wanted, convert
from gadfly.convert.importance import read_importance
from gadfly.convert.mix import LOSSLESS, MIXES
from gadfly.errors import NotFoundError
from gadfly.hub.library import Library
from gadfly.hub.progress import size_text
from gadfly.settings import available_processors, home

__all__ = ["command", "lines"]


@click.command("convert")
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--as", "format_name", metavar="FORMAT", help=f"{', '.join(MIXES)}; {LOSSLESS} keeps Grok-1's own codes.")
@click.option("--target-size", type=SIZE, help="As good as it gets in so many bytes: 120GB. Instead of --as.")
@click.option(
    "--for",
    "purpose",
    type=click.Choice(["streaming"]),
    help="streaming: a .gguf for Gadfly alone that is read from disk while it runs, or started from, without packing.",
)
@click.option("--pure", is_flag=True, help="The same format for all matrices, instead of more bits where they matter.")
@click.option(
    "--importance", type=click.Path(path_type=Path), help="What gadfly calibrate measured: spares what counts."
)
@click.option(
    "--adapter", type=click.Path(path_type=Path), help="With this adapter in its weights: what gadfly train has made."
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Processors to use. Default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON on stdout.")
def command(
    source: str,
    target: Path,
    format_name: str | None,
    target_size: int | None,
    purpose: str | None,
    pure: bool,
    importance: Path | None,
    adapter: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Convert a model, in bounded memory, going on where an interrupted conversion stopped.

    SOURCE is a model that is here (gadfly list), a .gguf, a folder of safetensors or one with a Grok release.
    TARGET is a .gguf or, with any other name, a new folder of safetensors. Without --as: q4_k in a .gguf, else bf16;
    what is quantised already keeps its numbers --for streaming.

    \b
    gadfly convert ./Llama-3.2-1B-Instruct llama.gguf --as q5_k
    gadfly convert ./grok-1 grok-1.gguf --target-size 120GB
    gadfly convert ./grok-1 ./grok-1-int8 --as int8
    gadfly convert grok-1.gguf grok-1-streaming.gguf --for streaming
    gadfly convert smollm2 smollm2-q8_0.gguf --as q8_0 --pure
    gadfly convert smollm2 my-gadfly.gguf --as q8_0 --adapter my-gadfly
    """
    if format_name and target_size:
        raise click.UsageError("--as and --target-size exclude each other.")
    path = Library(home()).resolve(source)
    if path is None:
        raise NotFoundError(
            f"there is no model {source!r} here; see `gadfly list`, or give the path of a file or folder"
        )
    measured = read_importance(importance) if importance else {}
    wanted = Wanted(format_name, target_size, pure, purpose == "streaming", measured)
    with showing_progress() as progress:
        done = convert(path, target, wanted, threads or available_processors(), progress, _given(adapter))
    if as_json:
        click.echo(json.dumps(facts(done)))
    else:
        for line in lines(done):
            click.echo(line)


def _given(adapter: Path | None) -> list[tuple[Path, float]]:
    return [] if adapter is None else [(adapter, 1.0)]


def facts(done: Converted) -> dict[str, object]:
    return {
        "path": str(done.path),
        "size": done.size,
        "parameters": done.parameters,
        "bits_per_weight": round(done.bits, 4),
        "formats": dict(done.formats),
        "sha256": dict(done.sha256),
        "notes": list(done.notes),
    }


def lines(done: Converted) -> list[str]:
    """What a person reads."""
    shares = ", ".join(f"{name} {count / done.parameters:.1%}" for name, count in done.formats.items())
    return [
        f"{done.path}: {size_text(done.size)}, {done.bits:.2f} bits per weight ({shares}).",
        *done.notes,
        f"Try it: gadfly run {done.path} 'Once upon a time'",
    ]
