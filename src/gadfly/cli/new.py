"""gadfly new: a model with random weights, of any architecture and size."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from gadfly.arch import PAGES, Page
from gadfly.cli.progress import showing_progress
from gadfly.convert.fresh import DTYPES, Advance, write_fresh
from gadfly.convert.fresh_release import release_hyperparameters, write_fresh_release
from gadfly.convert.sizes import Pattern, Sizes, draw_up, pattern_of, plain_pattern, sizes_for
from gadfly.convert.tokenizer_source import BYTES, tokenizer_from, vocabulary_size
from gadfly.errors import NotFoundError, RequestError
from gadfly.hub.library import Library
from gadfly.hub.progress import size_text
from gadfly.model.cost import Cost
from gadfly.settings import home
from gadfly.spec import ModelSpec
from gadfly.weights.disk import replacing

__all__ = ["command"]

F = TypeVar("F", bound=Callable[..., Any])

NAMES = tuple(page.name for page in PAGES)
RELEASE_TOKENIZER = "tokenizer.model"
MULTIPLES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
MOST = 4096  # layers or experts that a page reads
SIZES = (
    ("dim", "Width of the model. Default: 256"),
    ("layers", "Default: one for every 64 of the width."),
    ("heads", "Of the queries. Default: the width shared out."),
    ("kv-heads", "Of keys and values. Default: a quarter of --heads."),
    ("head-dim", "Default: 64 or 128, by the width."),
    ("hidden", "Width of the feed-forward, or of an expert. Default: 8/3 of the width."),
    ("experts", "Default: 8, where the architecture has any."),
    ("selected", "Experts that a token goes to. Default: 2"),
    ("vocab", "Tokens. Default: those of the tokenizer, or 32000"),
    ("context", "Positions it is made for. Default: 2048"),
)


class Count(click.ParamType[int]):
    """1.1B, 135M or a number."""

    name = "number"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMBT]?)", value.strip().upper())
        if match is None:
            self.fail(f"{value!r} is not a number of parameters; write it as 135M or 1.1B", param, ctx)
        return int(float(match[1]) * MULTIPLES[match[2]])


def size_options(command: F) -> F:
    for name, text in reversed(SIZES):
        most = MOST if name in ("layers", "experts") else 2**24
        command = click.option(f"--{name}", type=click.IntRange(1, most), help=text)(command)
    return command


@dataclass(frozen=True)
class Made:
    path: Path
    page: Page
    spec: ModelSpec
    kind: str  # of most of its numbers
    tied: bool
    tokenizer: bool
    size: int  # bytes


@click.command("new")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--arch", type=click.Choice(NAMES), help="The architecture. Default: llama, or that of --like.")
@click.option("--like", metavar="MODEL", help="Take what is not given from a model, or from its config.json.")
@click.option("--params", type=Count(), help="Choose width and layers for about so many parameters: 135M.")
@size_options
@click.option("--tied/--untied", default=None, help="Whether the output is the embedding. Default: tied.")
@click.option("--dtype", type=click.Choice([name.lower() for name in DTYPES]), help="Default: bf16")
@click.option("--release", is_flag=True, help="Grok-1 in xAI's own layout, with int8 weights: to measure conversions.")
@click.option("--tokenizer", metavar="FROM", help=f"A model or file to copy it from, or {BYTES}: a token for each.")
@click.option("--seed", type=click.IntRange(0, 2**63), default=0, help="The same seed, the same weights. Default: 0")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON on stdout.")
def command(
    folder: Path,
    arch: str | None,
    like: str | None,
    params: int | None,
    tied: bool | None,
    dtype: str | None,
    release: bool,
    tokenizer: str | None,
    seed: int,
    as_json: bool,
    **sizes: int | None,
) -> None:
    """Make a model with random weights, which knows nothing yet: to train, or to measure.

    FOLDER will hold config.json and safetensors, as on Hugging Face. Memory does not depend on the size.

    \b
    gadfly new ./tiny --tokenizer bytes
    gadfly new ./mix --arch mixtral --layers 4 --dim 512 --experts 16 --selected 4
    gadfly new ./half-a-smollm --like smollm2 --layers 15
    gadfly new ./grok --arch grok1 --params 20B --release
    """
    if folder.suffix == ".gguf":
        raise RequestError(f"{folder} would be a folder; make one, then gadfly convert it into a .gguf")
    if release and (dtype or tied is False):
        raise click.UsageError("--release has int8 weights and a tied embedding; leave out --dtype and --untied.")
    files = tokenizer_from(None if tokenizer == BYTES else found(tokenizer)) if tokenizer else {}
    pattern = pattern_for(like, arch)
    tied = release or (pattern.tied if tied is None else tied)
    wanted = Sizes(**sizes)
    if files:
        wanted = with_room(wanted, vocabulary_size(files))
    if params:
        wanted = sizes_for(pattern, params, wanted, tied)
    spec = draw_up(pattern, wanted)
    with showing_progress() as progress:
        if release:
            size = make_release(folder, spec, seed, files, progress.advance)
        else:
            kind = (dtype or "bf16").upper()
            size = write_fresh(folder, pattern.page, spec, seed, kind, tied, files, progress.advance)
    made = Made(folder, pattern.page, spec, "int8" if release else dtype or "bf16", tied, bool(files), size)
    click.echo(json.dumps(facts(made)) if as_json else "\n".join(lines(made)))


def found(name: str) -> Path:
    path = Library(home()).resolve(name)
    if path is None:
        raise NotFoundError(f"there is no model {name!r} here; see `gadfly list`, or give the path of a file or folder")
    return path


def pattern_for(like: str | None, arch: str | None) -> Pattern:
    if like is None:
        return plain_pattern(arch or "llama")
    pattern = pattern_of(found(like))
    if arch not in (None, pattern.page.name):
        raise RequestError(f"{like} is a {pattern.page.name} and no {arch}; leave out --arch or --like")
    return pattern


def with_room(wanted: Sizes, tokens: int) -> Sizes:
    """For all tokens of the tokenizer, and unless more are asked for no others: there would be no text for them."""
    if wanted.vocab is not None and wanted.vocab < tokens:
        raise RequestError(f"--vocab is {wanted.vocab}, but the tokenizer has {tokens} tokens; leave it out")
    return replace(wanted, vocab=wanted.vocab or tokens)


def make_release(folder: Path, spec: ModelSpec, seed: int, files: Mapping[str, bytes], advance: Advance) -> int:
    hyperparameters = release_hyperparameters(spec)
    if files and RELEASE_TOKENIZER not in files:
        raise RequestError(f"--release goes with a {RELEASE_TOKENIZER} only; give --tokenizer one, or none")
    size = write_fresh_release(folder, hyperparameters, seed, advance)
    if files:
        with replacing(folder / RELEASE_TOKENIZER) as file:
            size += file.write(files[RELEASE_TOKENIZER])
    return size


def facts(made: Made) -> dict[str, object]:
    return {
        "path": str(made.path),
        "architecture": made.page.name,
        "parameters": Cost.of(made.spec, made.tied).parameters,
        "active_parameters": Cost.of(made.spec, made.tied).active_parameters,
        "layers": len(made.spec.blocks),
        "dim": made.spec.dim,
        "vocab": made.spec.vocab,
        "dtype": made.kind,
        "tied": made.tied,
        "tokenizer": made.tokenizer,
        "size": made.size,
    }


def lines(made: Made) -> list[str]:
    """What a person reads."""
    cost = Cost.of(made.spec, made.tied)
    total, active = cost.parameters, cost.active_parameters
    per_token = f", of which a token meets {count_text(active)}" if active < total else ""
    what = f"a {made.page.name} of {len(made.spec.blocks)} layers and width {made.spec.dim}"
    shown = [
        f"{made.path}: {what}, {count_text(total)} parameters{per_token}; {size_text(made.size)} of {made.kind}.",
        "It knows nothing yet: its weights are random.",
    ]
    if made.tokenizer:
        return [*shown, f"Try it: gadfly run {made.path} --raw 'Once upon a time'"]
    return [*shown, f"It has no tokenizer, so it takes ids and no text: gadfly bench {made.path}"]


def count_text(count: int) -> str:
    """For people, in powers of ten: "1.1B"."""
    for letter, unit in reversed(MULTIPLES.items()):
        if letter and count >= 0.9995 * unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)
