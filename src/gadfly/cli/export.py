"""gadfly export: takes adapters away, alone, added up, or in the weights of their model, with a card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gadfly.cli.convert import lines
from gadfly.cli.export_mixture import mixed
from gadfly.cli.printable import printable
from gadfly.cli.progress import showing_progress
from gadfly.errors import RequestError
from gadfly.hub.adapters import find_adapter
from gadfly.hub.library import Library
from gadfly.settings import available_processors, home

if TYPE_CHECKING:
    from gadfly.weights.load import ModelFile

__all__ = ["command"]

FILE = click.Path(path_type=Path)
LARGEST = 10_000_000  # bytes, of a file with an evaluation


@click.command("export")
@click.argument("given", metavar="ADAPTER[=STRENGTH]...", nargs=-1, required=True)
@click.option("--out", required=True, type=FILE, help="A .gguf, or, with any other name, a new folder.")
@click.option("--base", help="The model that they belong to. Default: the one that they were made for.")
@click.option("--merge", is_flag=True, help="A whole model with the adapters in its weights.")
@click.option("--mixture", is_flag=True, help="A whole model with an expert for each adapter, and a router.")
@click.option("--prompts", type=FILE, multiple=True, help="With --mixture: what each adapter is asked, in their order.")
@click.option("--experts-per-token", type=click.IntRange(1), help="With --mixture: how many have each token.  [2]")
@click.option(
    "--as", "format_name", help="Of a whole model: as for gadfly convert, such as q8_0. Default: q4_k or bf16."
)
@click.option("--evaluation", "evaluations", multiple=True, type=FILE, help="What gadfly eval --json said; repeatable.")
@click.option("--licence", help="Of what was added to the base, for the card; for example CC0-1.0.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Processors to use. Default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON on stdout.")
def command(
    given: Sequence[str],
    out: Path,
    base: str | None,
    merge: bool,
    mixture: bool,
    prompts: Sequence[Path],
    experts_per_token: int | None,
    format_name: str | None,
    evaluations: Sequence[Path],
    licence: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write adapters in a form that others take: PEFT's folder, llama.cpp's file, or a whole model.

    ADAPTER is what gadfly train or PEFT has made, a folder or a .gguf, by path or name. Several are added up without
    loss, each at its STRENGTH, which is 1 if it is not said. A .gguf is an adapter for llama.cpp, a folder one for
    PEFT; with --merge either is a whole model. A card (README.md, or beside a .gguf NAME.md) says what it is, how it
    was made and how it did.

    With --mixture every adapter gets an expert of its own in a mixture, whose router sends tokens to those whose
    --prompts they resemble: a .txt with one a line, or what the adapter was trained on.

    \b
    gadfly export my-gadfly --out my-gadfly-lora.gguf
    gadfly export my-gadfly=0.7 my-biscuits=0.5 --out both
    gadfly export my-gadfly --merge --out my-gadfly.gguf --as q4_k --evaluation results.json
    gadfly export captain poet --mixture --prompts captain.jsonl --prompts poet.txt --out crew.gguf
    """
    from gadfly.convert.card import About, card
    from gadfly.convert.convert import Wanted, convert, state_of
    from gadfly.weights.adapter import read_adapter
    from gadfly.weights.adapter_sum import summed
    from gadfly.weights.adapter_writer import write_adapter, write_gguf_adapter
    from gadfly.weights.disk import replacing
    from gadfly.weights.load import open_model

    if merge and mixture:
        raise click.UsageError("--merge and --mixture exclude each other.")
    if format_name and not (merge or mixture):
        raise click.UsageError("--as is for --merge and --mixture; adapters are written as they are.")
    if (prompts or experts_per_token) and not mixture:
        raise click.UsageError("--prompts and --experts-per-token are for --mixture.")
    beside = out.with_suffix(".md") if out.suffix == ".gguf" else out / "README.md"
    for path in (out, beside):
        if path.exists():
            raise RequestError(f"{path} exists; remove it or choose another name")
    judged = [_evaluation(path) for path in evaluations]
    parts = [(find_adapter(folder, home()), strength) for folder, strength in map(_part, given)]
    name = base or _base_of(parts[0][0])
    source = Library(home()).require(name)
    model = open_model(source)
    adapters = [(read_adapter(path, model.page, model.spec), strength) for path, strength in parts]
    whole, done, cores = summed(adapters), None, threads or available_processors()
    facts = whole.facts
    if mixture:
        state = repr((state_of(source), [(state_of(path), strength) for path, strength in parts]))
        named = [(str(path), *one) for (path, _), one in zip(map(_part, given), adapters, strict=True)]
        with showing_progress() as progress:
            done, facts = mixed(model, state, named, prompts, experts_per_token, out, format_name, cores, progress)
    elif merge:
        with showing_progress() as progress:
            done = convert(source, out, Wanted(format_name), cores, progress, parts)
    elif out.suffix == ".gguf":
        write_gguf_adapter(out, whole, model.page, model.spec, out.stem)
    else:
        write_adapter(out, whole, model.page, name)
    about = About(out.stem, name, _licence_of(model, source), facts, licence, judged, done is not None)
    with replacing(beside) as file:
        file.write(card(about).encode())
    if as_json:
        told = {"path": str(out), "card": str(beside), "base": name, "rank": whole.rank, "merged": done is not None}
        click.echo(json.dumps(told))
        return
    click.echo("\n".join(lines(done)) if done else f"{out}: an adapter of rank {whole.rank} for {printable(name)}.")
    click.echo(f"{beside}: its card.")


def _part(given: str) -> tuple[Path, float]:
    """A name or path, and its strength. A path that has a = in it itself is taken as it is."""
    folder, equals, strength = given.rpartition("=")
    if not equals or Path(given).exists():
        return Path(given), 1.0
    try:
        value = float(strength)
    except ValueError:
        raise RequestError(f"the strength of {folder} is {strength!r:.40}; expected a number") from None
    if not -100 <= value <= 100:
        raise RequestError(f"the strength of {folder} is {strength:.40}; it has to be from -100 to 100")
    return Path(folder), value


def _base_of(folder: Path) -> str:
    from gadfly.weights.adapter import base_of

    name = base_of(folder)
    if name is None:
        raise RequestError(f"{folder} does not say which model it is for; name it with --base")
    return name


def _licence_of(model: "ModelFile", source: Path) -> str | None:
    known = next((entry.licence for entry in Library(home()).list() if entry.path == source), None)
    stated = model.metadata.get("general.license")
    return known or (stated if isinstance(stated, str) else None)


def _evaluation(path: Path) -> Mapping[str, Any]:
    """What gadfly eval --json has printed. Raises RequestError for anything else."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(LARGEST))
        for task in found["tasks"]:
            for metric in task["metrics"].values():
                _ = (task["kind"], metric["value"], metric["low"], metric["high"], metric["count"])
            _ = [metric["value"] for metric in task["base"].values()]
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RequestError(f"{path} is not what `gadfly eval --json` prints") from None
    assert isinstance(found, dict)
    return found
