"""What `gadfly fit` shows to people: sentences, a picture of memory and tables, in 80 columns.

Nothing is decided here. Colour says nothing that words do not say; without a terminal there is none.
"""

import sys
from collections.abc import Sequence
from textwrap import wrap

from gadfly.cli.fit_facts import cache_sizes
from gadfly.evaluate.fit_report import Report, Row, verdict
from gadfly.evaluate.machine import processor
from gadfly.hub.catalogue import Model
from gadfly.hub.progress import size_text

__all__ = ["catalogue_lines", "marks", "report_lines", "show"]

WIDTH = 79
BAR = 54
COMFORT = {"comfortable": "yes", "tight": "only just", "no": "no"}
Line = str | list[tuple[str, str]]  # plain, or pieces with a style each


def show(lines: Sequence[Line]) -> None:
    """Print, with colour if stdout is a terminal that wants it."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        text: Text = Text(line) if isinstance(line, str) else Text.assemble(*line)
        console.print(text)


def report_lines(told: Report, instead: Model | None) -> list[Line]:
    """Everything about one model."""
    lines: list[Line] = [*wrap(verdict(told), WIDTH)]
    if speed := speed_sentence(told):
        lines += wrap(speed, WIDTH)
    lines += ["", *memory_picture(told), ""]
    lines += table([heading(told), *(cells(row, told) for row in shown_rows(told))])
    if any(row.kernel != row.version.name for row in shown_rows(told)):
        lines += wrap("* There is no kernel for this format yet; it is held in memory as the one named.", WIDTH)
    if told.best is not None:
        well = "comfortably" if told.best.comfort == "comfortable" else "just so"
        lines += wrap(f"The best precision up to 8 bits that fits {well} is {told.best.version.name}.", WIDTH)
    lines += ["", *wrap(disk_sentence(told), WIDTH), *wrap(cache_sentence(told), WIDTH)]
    lines += wrap(machine_sentence(told), WIDTH)
    if instead is not None:
        more = f"The largest in the catalogue that fits comfortably is {instead.name}: gadfly pull {instead.name}"
        lines += ["", *wrap(more, WIDTH)]
    return lines


def shown_rows(told: Report) -> list[Row]:
    """The file there is, then what else the model could be."""
    return [told.given, *told.rows]


def heading(told: Report) -> tuple[str, ...]:
    speeds = ("READS", "WRITES") if told.machine.speeds else ()
    return ("PRECISION", "DISK", "MEMORY", "FITS", *speeds)


def cells(row: Row, told: Report) -> tuple[str, ...]:
    name = row.version.name
    if row is told.given:
        name += ", the file here" if told.candidate.here else ", as published"
    if row.kernel != row.version.name:
        name += f" * {row.kernel}"
    speeds: tuple[str, ...] = ()
    if told.machine.speeds:
        fast = row.prediction
        speeds = (rate(fast.prefill), rate(fast.decode)) if fast else ("-", "-")
    return (name, size_text(row.version.file), size_text(row.needs.total), COMFORT[row.comfort], *speeds)


def speed_sentence(told: Report) -> str:
    sentences = []
    if told.chosen and told.chosen.prediction:
        fast = told.chosen.prediction
        sentences.append(
            f"It would read about {rate(fast.prefill)} and write about {rate(fast.decode)} (tokens per second; a token "
            f"is most of a word), after a prompt of {fast.prompt} tokens, bound by {fast.bound}."
        )
    if flow := told.streamed:
        clinging = f", where {flow.found:.0%} of what a token wants is found" if told.candidate.clinging else ""
        sentences.append(
            f"As {told.on_disk.version.name}, with experts on disk, it would read about {rate(flow.prefill)} and write "
            f"about {rate(flow.decode)} tokens per second: {flow.resident:.0%} of its experts have room in memory"
            f"{clinging}, so each token waits for {size_text(round(flow.read_per_token))} from a disk that gives "
            f"{size_text(round(disk(told)))} a second; {flow.many} conversations at once would share the reading and "
            f"write {rate(flow.decode_many)} together. For that it is packed, once, into another "
            f"{size_text(told.on_disk.needs.weights)} of disk."
        )
    elif told.chosen is None:
        sentences.append(
            "Layers of a model without experts can stay on disk, too (--experts streamed); then every token reads all "
            "that have no room in memory, which is slow."
        )
    return " ".join(sentences)


def disk(told: Report) -> float:
    speeds = told.machine.speeds
    return speeds.disk or 0.0 if speeds else 0.0


def disk_sentence(told: Report) -> str:
    free = f"the disk for models has {size_text(told.machine.disk_free)} free"
    if told.candidate.here:
        return "Nothing has to be fetched: it is here."
    kept = f", converted on the way to {size_text(told.disk)}" if told.disk != told.download else ""
    return f"To fetch: {size_text(told.download)}{kept}; {free}."


def cache_sentence(told: Report) -> str:
    per_token, most = told.given.needs.cache_per_token, told.candidate.spec.context
    sizes = [f"{size_text(per_token * n)} for {n:,}" for n in cache_sizes(most)]
    counted = f"MEMORY counts {told.context:,} tokens of it."
    return f"The cache takes {size_text(per_token)} per token of context: {', '.join(sizes)}. {counted}"


def machine_sentence(told: Report) -> str:
    speeds = told.machine.speeds
    if speeds is None:
        return "Nothing was measured (--no-probe), so there are no speeds."
    reads = f", its disk {size_text(round(speeds.disk))}/s" if speeds.disk else ", its disk could not be measured"
    return (
        f"Measured with {speeds.threads} threads on {processor()}: memory gives "
        f"{size_text(round(speeds.read_bandwidth))}/s{reads}."
    )


def memory_picture(told: Report) -> list[Line]:
    """What the model takes above what the machine has, to one scale."""
    row = told.chosen or told.four_bits
    memory = told.machine.memory
    scale = max(memory.total, row.needs.total)
    needed = [(row.needs.weights, "weights"), (row.needs.beside_weights, "work")]
    had = [(memory.total - memory.available, "use"), (memory.available, "free")]
    shades = marks()
    words = {"weights": "weights", "work": "cache and work", "use": "in use", "free": "free"}
    return [
        [("model    ", ""), *bar(needed, scale, shades), (f"  {size_text(row.needs.total)}", "")],
        [("machine  ", ""), *bar(had, scale, shades), (f"  {size_text(memory.total)}", "")],
        " " * 9 + "  ".join(f"{shades[kind]} {word}" for kind, word in words.items()),
    ]


def marks() -> dict[str, str]:
    """Shades where stdout can show them, else letters."""
    shades = {"weights": "█", "work": "▓", "use": "▒", "free": "░"}
    try:
        "".join(shades.values()).encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return {"weights": "#", "work": "+", "use": "x", "free": "."}
    return shades


STYLES = {"weights": "cyan", "work": "blue", "use": "magenta", "free": "green"}


def bar(parts: Sequence[tuple[int, str]], scale: int, shades: dict[str, str]) -> list[tuple[str, str]]:
    """Parts laid end to end, `scale` bytes to the whole width; whatever is there at all gets a mark."""
    pieces, done = [], 0
    for size, kind in parts:
        width = max(1, round(BAR * size / scale)) if size else 0
        width = min(width, BAR - done)
        pieces.append((shades[kind] * width, STYLES[kind]))
        done += width
    return [*pieces, (" " * (BAR - done), "")]


def catalogue_lines(told: Sequence[Report]) -> list[Line]:
    """A line for each model, as it would be run here."""
    speeds = ("READS", "WRITES") if told[0].machine.speeds else ()
    rows = [("MODEL", "TO FETCH", "MEMORY", "AS", "FITS", "RUNS", *speeds)]
    for each in told:
        row = each.chosen or each.four_bits
        fast = (rate(row.prediction.prefill), rate(row.prediction.decode)) if row.prediction else ("-", "-")
        rows.append(
            (
                each.candidate.name,
                size_text(each.download) if each.download else "here",
                size_text(row.needs.total),
                row.version.name,
                COMFORT[row.comfort],
                "yes" if each.runs else "not yet" if each.candidate.obstacle else "no",
                *(fast if speeds else ()),
            )
        )
    memory = told[0].machine.memory
    return [
        *table(rows),
        "",
        f"This machine has {size_text(memory.total)} of memory, {size_text(memory.available)} of them free. READS and",
        "WRITES are tokens per second, expected. More about one: gadfly fit MODEL",
    ]


def table(rows: Sequence[tuple[str, ...]]) -> list[Line]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def rate(per_second: float) -> str:
    """Tokens per second with two digits that mean something: a prediction has no more."""
    return f"{per_second:.2g}" if per_second < 10 else f"{float(f'{per_second:.2g}'):.0f}"
