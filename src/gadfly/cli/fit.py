"""gadfly fit: whether a model will run on this machine and how fast, before anything is fetched.

What it says is worked out in `gadfly.evaluate.fit_report`; `fit_picture` shows it to people, `fit_facts` to programs.
"""

import json
from typing import TYPE_CHECKING

import click

from gadfly.cli.size import SIZE

if TYPE_CHECKING:
    from gadfly.evaluate.fit_report import Candidate, Machine

__all__ = ["command"]

DISK_BYTES = 2**27  # to be read, at most


@click.command("fit")
@click.argument("model", required=False)
@click.option("--context", type=int, help="Tokens the model should see. Default: all it was made for, up to 8192.")
@click.option("--threads", type=int, help="Processors to use. Default: all.")
@click.option("--memory", type=SIZE, help="Of a machine with so much, all of it free: 64GB. Default: what is here.")
@click.option("--disk", type=SIZE, help="A disk that gives so much in a second: 7GB. Default: it is measured.")
@click.option("--no-probe", is_flag=True, help="Do not measure this machine: no speeds, but an answer at once.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    model: str | None,
    context: int | None,
    threads: int | None,
    memory: int | None,
    disk: int | None,
    no_probe: bool,
    as_json: bool,
) -> None:
    """Tell whether a model will run on this machine, and how fast.

    MODEL is a name of the catalogue, a model that is here or a file; nothing is fetched. Without it, the whole
    catalogue is gone through. The exit code is 0 if the model will run and 1 if it will not.

    \b
    gadfly fit smollm2
    gadfly fit grok-1 --memory 64GB --disk 7GB
    gadfly fit ./model.gguf --context 32768 --json
    """
    from gadfly.cli.fit_facts import report_facts
    from gadfly.cli.fit_picture import catalogue_lines, report_lines, show
    from gadfly.evaluate.fit import judge, needs
    from gadfly.evaluate.fit_catalogue import nearest
    from gadfly.evaluate.fit_report import report
    from gadfly.hub.catalogue import Catalogue
    from gadfly.llm import DEFAULT_CONTEXT
    from gadfly.settings import available_processors

    if threads is not None and not 1 <= threads <= 1024:
        raise click.UsageError("--threads is from 1 to 1024")
    models = Catalogue.load()
    candidates = [find(model)] if model else [from_catalogue(one.name) for one in models.values()]
    machine = this_machine(candidates, None if no_probe else threads or available_processors(), memory, disk)
    told = [report(each, machine, positions(each, context, exact=bool(model))) for each in candidates]
    if not model:
        facts = [report_facts(each, None) for each in told]
        if as_json:
            click.echo(json.dumps(facts, indent=2))
        else:
            show(catalogue_lines(told))
        return
    (answer,) = told
    fitting = nearest(
        (one for one in models.values() if one.name != answer.candidate.name),
        lambda version: judge(needs(version, machine.held, min(version.spec.context, DEFAULT_CONTEXT)), machine.memory),
    )
    instead = None if answer.runs and answer.chosen and answer.chosen.comfort == "comfortable" else fitting
    if as_json:
        click.echo(json.dumps(report_facts(answer, instead), indent=2))
    else:
        show(report_lines(answer, instead))
    ctx.exit(0 if answer.runs else 1)


def positions(candidate: "Candidate", wanted: int | None, exact: bool) -> int:
    """Tokens of context. What somebody asked for one model, it has to be able to see; raises RequestError."""
    from gadfly.errors import RequestError
    from gadfly.llm import DEFAULT_CONTEXT

    most = candidate.spec.context
    if wanted is None:
        return min(most, DEFAULT_CONTEXT)
    if wanted < 1 or (exact and wanted > most):
        raise RequestError(f"the context is {wanted}; {candidate.name} takes from 1 to {most} tokens")
    return min(wanted, most)


def find(name: str) -> "Candidate":
    """A model that is here, else one of the catalogue. Raises GadflyError."""
    from gadfly.errors import NotFoundError
    from gadfly.evaluate.fit import opened
    from gadfly.evaluate.fit_report import Candidate
    from gadfly.hub.catalogue import NAME, Catalogue
    from gadfly.hub.library import Library
    from gadfly.model.cost import matrices
    from gadfly.settings import home
    from gadfly.weights.cache import Cache
    from gadfly.weights.clinging import recall
    from gadfly.weights.load import open_model

    library = Library(home())
    path = library.resolve(name)
    if path is not None:
        version = opened(open_model(path))
        experts = max(matrix.experts for matrix in matrices(version.spec))
        known = recall(Cache(home()).file(path), experts)
        return Candidate(name, version.spec, "output" not in version.formats, version, here=True, clinging=known)
    listed = name if name in Catalogue.load() else name.lower()
    if listed in Catalogue.load():
        return from_catalogue(listed)
    if NAME.fullmatch(name):
        library.find(name)  # which says what may have been meant
    raise NotFoundError(
        f"there is no model {name!r} here or in the catalogue; `gadfly list --all` shows the catalogue. What a hub has "
        "can be judged once its file is here"
    )


def from_catalogue(name: str) -> "Candidate":
    from gadfly.evaluate.fit_catalogue import candidate
    from gadfly.hub.catalogue import Catalogue
    from gadfly.hub.library import Library
    from gadfly.settings import home

    return candidate(Catalogue.load()[name], Library(home()).resolve(name) is not None)


def this_machine(
    candidates: "list[Candidate]", threads: int | None, given_memory: int | None, given_disk: int | None
) -> "Machine":
    """What there is, and unless `threads` is None, how fast: only formats are timed that a candidate might have.

    What is given of it is believed.
    """
    from dataclasses import replace
    from shutil import disk_usage

    from gadfly.evaluate.fit import Memory, needs
    from gadfly.evaluate.fit_probe import held_formats, probe
    from gadfly.evaluate.fit_report import Machine, precisions
    from gadfly.evaluate.machine import disk_bandwidth
    from gadfly.hub.memory import memory_available, memory_here
    from gadfly.llm import DEFAULT_CONTEXT
    from gadfly.settings import home

    folder = home() / "models"
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    memory, held = Memory(memory_here(), memory_available()), held_formats()
    free = memory.available
    if given_memory is not None:
        memory = Memory(given_memory, given_memory)
    machine = Machine(memory, disk_usage(existing).free, held)
    if threads is None:
        return machine
    versions = [version for each in candidates for version in (each.given, *precisions(each))]
    kernels = {held[name].kernel for version in versions for name in version.formats.values()}
    largest = max(needs(each.given, held, DEFAULT_CONTEXT).weights for each in candidates)
    size = max(2**24, min(largest, free // (4 * len(kernels))))
    speeds = probe(threads, kernels, held, size)
    return replace(machine, speeds=replace(speeds, disk=given_disk or disk_bandwidth(folder, DISK_BYTES)))
