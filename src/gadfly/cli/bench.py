"""gadfly bench: how fast a model is on this machine, beside what the machine could do and beside llama.cpp."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gadfly.completion import Reads
    from gadfly.evaluate.speed import Speed
    from gadfly.llm import LLM

__all__ = ["command"]

PROBE_BYTES = 2**28  # larger than caches are
GIGA = 1e9


@click.command("bench")
@click.argument("model", default="smollm2")
@click.option("--threads", type=int, help="Threads to compute with; by default all processors at hand.")
@click.option("--prefill", default=512, show_default=True, help="Tokens of the prompt.")
@click.option("--decode", default=64, show_default=True, help="Tokens of the answer.")
@click.option("--rounds", default=5, show_default=True, help="Rounds that count; medians are shown.")
@click.option("--kernels", help="An instruction set, such as avx2; by default the fastest here.")
@click.option("--memory", metavar="SIZE", help="Stay below this, such as 8GiB.")
@click.option(
    "--experts", type=click.Choice(["resident", "streamed", "mapped"]), help="Where experts of a mixture live."
)
@click.option("--against", type=click.Choice(["llama.cpp"]), help="Measure another engine on the same file in turns.")
@click.option("--peer-python", help="The Python that llama-cpp-python is installed in; by default this one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(
    model: str,
    threads: int | None,
    prefill: int,
    decode: int,
    rounds: int,
    kernels: str | None,
    memory: str | None,
    experts: str | None,
    against: str | None,
    peer_python: str | None,
    as_json: bool,
) -> None:
    """Measure tokens per second, memory, and the share of this machine's read bandwidth that decoding uses.

    \b
    gadfly bench
    gadfly bench smollm2 --threads 1
    gadfly bench smollm2 --against llama.cpp
    """
    import sys
    from contextlib import ExitStack

    from gadfly.evaluate.llama_cpp import LlamaCpp
    from gadfly.evaluate.machine import processor, read_bandwidth
    from gadfly.evaluate.speed import Gadfly, Subject, measure
    from gadfly.hub.memory import peak_memory
    from gadfly.llm import load
    from gadfly.settings import available_processors

    if min(prefill, decode, rounds) < 1:
        raise click.UsageError("--prefill, --decode and --rounds are at least 1")
    threads = threads or available_processors()
    llm = load(model, threads=threads, kernels=kernels, memory=memory, experts=experts)
    positions = prefill + decode
    if positions > llm.spec.context:
        raise click.UsageError(f"{positions} tokens are more than the model's context of {llm.spec.context}")
    ours = Gadfly(llm, positions)
    subjects: list[Subject] = [ours]
    with ExitStack() as stack:
        if against:
            subjects.append(
                stack.enter_context(LlamaCpp(Path(llm.path), threads, positions, peer_python or sys.executable))
            )
        speeds = measure(subjects, rounds, prefill, decode)
        peak = peak_memory()
        bandwidth = read_bandwidth(threads, PROBE_BYTES)
        facts = {
            "model": str(llm.path.name),
            "processor": processor(),
            "threads": threads,
            "kernels": llm.kernels,
            "read_bandwidth_gb_per_s": bandwidth / GIGA,
            "decode_reads_gb": llm.bytes_per_token / GIGA,
            "peak_memory_mb": peak / 1e6,
            "streamed": streamed(ours.reads[1:]),  # the first round warms up
            "results": [result(speed, llm, bandwidth) for speed in speeds],
        }
        if against:
            peer = subjects[1]
            assert isinstance(peer, LlamaCpp)
            facts["peer"] = {"version": peer.version, "info": peer.info}
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(table(facts)))


def result(speed: "Speed", llm: "LLM", bandwidth: float) -> dict[str, Any]:
    return {
        **asdict(speed),
        "prefill": speed.prefill,
        "decode": speed.decode,
        "bandwidth_share": speed.decode * llm.bytes_per_token / bandwidth,
    }


def streamed(rounds: "Sequence[Reads]") -> dict[str, float] | None:
    """What reading experts from disk cost while answers were written; None if they are all in memory."""
    if not rounds:
        return None
    tokens, seconds = sum(each.tokens for each in rounds), sum(each.seconds for each in rounds)
    found, missing = sum(each.found for each in rounds), sum(each.missing for each in rounds)
    read, reading = sum(each.bytes for each in rounds), sum(each.reading for each in rounds)
    return {
        "found_in_memory": found / (found + missing),
        "read_bytes_per_token": read / tokens,
        "disk_bytes_per_s": read / reading if reading else 0.0,
        "reading_share": reading / seconds,
        "waiting_share": sum(each.waiting for each in rounds) / seconds,
    }


def table(facts: dict[str, Any]) -> list[str]:
    """What a person reads; two engines get a line with their ratio."""
    results = facts["results"]
    lines = [
        f"{facts['model']} on {facts['processor']}, {facts['threads']} threads, {facts['kernels']} kernels",
        f"{'':<12}{'prefill ' + str(results[0]['prefill_tokens']):>14}{'decode':>12}{'of read bandwidth':>20}",
    ]
    for row in results:
        share = f"{row['bandwidth_share']:.0%}" if row["name"] == "gadfly" else ""
        lines.append(f"{row['name']:<12}{row['prefill']:>10.0f} t/s{row['decode']:>8.1f} t/s{share:>20}")
    if len(results) == 2:
        ours, theirs = results
        ratios = f"{ours['prefill'] / theirs['prefill']:>12.2f} x{ours['decode'] / theirs['decode']:>10.2f} x"
        lines.append(f"{'ratio':<12}{ratios}")
        lines.append(f"llama-cpp-python {facts['peer']['version']}: {facts['peer']['info'].strip()}")
    lines.append(
        f"Each token of an answer reads {facts['decode_reads_gb'] * 1000:.0f} MB of weights; this machine reads "
        f"{facts['read_bandwidth_gb_per_s']:.1f} GB/s. Peak memory {facts['peak_memory_mb']:.0f} MB."
    )
    if reads := facts["streamed"]:
        lines.append(
            f"{reads['found_in_memory']:.0%} of its experts are found in memory; each token reads "
            f"{reads['read_bytes_per_token'] / 1e6:.0f} MB of others from disk, "
            f"at {reads['disk_bytes_per_s'] / GIGA:.2f} GB/s in {reads['reading_share']:.0%} of the time, "
            f"and computing waits {reads['waiting_share']:.0%} of it."
        )
    return lines
