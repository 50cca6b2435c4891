"""Whether a model will run on a machine, in which precision and how fast: everything `gadfly fit` says, as values.

Pure: what the machine is and how fast it is are arguments. How it is shown: `gadfly.cli.fit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gadfly.evaluate.fit import FORMATS_TO_SHOW, Comfort, Held, Memory, Needs, Version, best, judge, needs, quantised
from gadfly.evaluate.fit_speed import Prediction, Speeds, Streamed, predict, stream
from gadfly.hub.progress import size_text
from gadfly.spec import ModelSpec

__all__ = ["Answer", "Candidate", "Machine", "Report", "Row", "precisions", "report", "verdict"]

Answer = Literal["comfortable", "tight", "converted", "file", "disk", "full", "no", "planned"]

FOUR_BITS = ("Q4_K", "Q4_0")  # as small as a model gets without becoming another one


@dataclass(frozen=True)
class Candidate:
    """A model somebody asks about. `given` is its file here or what is published; `obstacle` why no machine runs it.

    `convertible` says that `gadfly pull --as` makes any precision of it on the way, keeping only the result. `clinging`
    is what is known of its routers here: see `gadfly.weights.clinging`.
    """

    name: str
    spec: ModelSpec
    tied: bool
    given: Version
    here: bool
    obstacle: str | None = None
    convertible: bool = False
    clinging: tuple[float, ...] = ()


@dataclass(frozen=True)
class Machine:
    """What models are held against; bytes. Without `speeds` nothing is predicted."""

    memory: Memory
    disk_free: int
    held: Mapping[str, Held]
    speeds: Speeds | None = None


@dataclass(frozen=True)
class Row:
    """A model in one precision on this machine. `kernel` is the format that it is held as, by its name."""

    version: Version
    kernel: str
    needs: Needs
    comfort: Comfort
    prediction: Prediction | None  # None: not measured, or it would not fit


@dataclass(frozen=True)
class Report:
    candidate: Candidate
    machine: Machine
    context: int
    given: Row
    rows: tuple[Row, ...]  # the precisions it could have, the most precise first
    best: Row | None  # of these, the most precise up to eight bits that fits well
    chosen: Row | None  # what to run: the file that there is if it fits, else the best; None: nothing fits
    four_bits: Row
    streamed: Streamed | None  # what comes of reading experts of `on_disk` from disk, where it does not fit

    @property
    def download(self) -> int:
        """Bytes still to be fetched."""
        return 0 if self.candidate.here else self.given.version.file

    @property
    def on_disk(self) -> Row:
        """The version whose experts would be read from disk: the file there is, or four bits."""
        return self.given if self.candidate.here else self.four_bits

    @property
    def from_disk(self) -> bool:
        """Whether that is the only way to run it."""
        return self.chosen is None and self.streamed is not None

    @property
    def disk(self) -> int:
        """Bytes that the model would take on disk beside what is there."""
        if self.from_disk:  # packed, beside the file
            return self.on_disk.needs.weights + (0 if self.candidate.here else self.on_disk.version.file)
        converted = self.candidate.convertible and self.chosen is not None and self.chosen is not self.given
        return self.chosen.version.file if converted and self.chosen else self.download

    @property
    def has_disk(self) -> bool:
        return self.disk <= self.machine.disk_free

    @property
    def runs(self) -> bool:
        """As it can be had: not if it would take a file that somebody has to find or make first."""
        there = self.candidate.here if self.from_disk else self.chosen is self.given
        runs = self.chosen is not None or self.from_disk
        return runs and (there or self.candidate.convertible) and self.has_disk and self.candidate.obstacle is None

    @property
    def row(self) -> Row:
        """The version that the answer is about."""
        return self.chosen or (self.on_disk if self.from_disk else self.four_bits)

    @property
    def answer(self) -> Answer:
        """What there is to say in a word; `verdict` says it in a sentence."""
        if self.from_disk and self.runs:
            return "disk"
        if self.chosen is None and (not self.from_disk or self.has_disk):
            return "no"
        if self.candidate.obstacle:
            return "planned"
        if not self.has_disk:
            return "full"
        if self.chosen is not self.given:
            return "converted" if self.candidate.convertible else "file"
        return "comfortable" if self.given.comfort == "comfortable" else "tight"


def precisions(candidate: Candidate) -> list[Version]:
    """What the model could be, the most precise first."""
    return [quantised(candidate.spec, candidate.tied, name) for name in FORMATS_TO_SHOW]


def row(version: Version, machine: Machine, context: int) -> Row:
    wanted = needs(version, machine.held, context)
    comfort = judge(wanted, machine.memory)
    fast = predict(version, machine.held, machine.speeds, min(512, context)) if machine.speeds else None
    kernel = machine.held[version.name].kernel
    return Row(version, kernel, wanted, comfort, fast if comfort != "no" else None)


def report(candidate: Candidate, machine: Machine, context: int) -> Report:
    """The model with a cache of `context` positions on the machine."""
    versions = precisions(candidate)
    rows = {version.name: row(version, machine, context) for version in versions}
    given = row(candidate.given, machine, context)
    four_bits = min((rows[name] for name in FOUR_BITS), key=lambda row: row.needs.total)
    version = best(versions, lambda version: rows[version.name].comfort)
    fitting = rows[version.name] if version else None
    there = given.comfort != "no" and (candidate.here or candidate.obstacle is None)
    chosen = given if there else fitting
    streamed, source = None, given if candidate.here else four_bits
    if source.comfort == "no" and machine.speeds and machine.speeds.disk:
        fast = predict(source.version, machine.held, machine.speeds, min(512, context))
        room = machine.memory.available
        streamed = stream(
            source.needs, room, candidate.spec, machine.speeds.disk, fast.prefill, fast.decode, candidate.clinging
        )
    return Report(candidate, machine, context, given, tuple(rows.values()), fitting, chosen, four_bits, streamed)


def verdict(told: Report) -> str:
    """The answer in a sentence or two."""
    name, row, memory = told.candidate.name, told.row, told.machine.memory
    has, precision = size_text(memory.total), row.version.name
    wants = f"{size_text(row.needs.total)} of memory as {precision}"
    here = f"this machine has {has}"
    busy = here + (f", of which {size_text(memory.in_use)} are in use" if memory.in_use else "")
    match told.answer:
        case "disk":
            how = "" if told.candidate.here else f" gadfly pull {name} --as {precision.lower()} fetches it so."
            return f"{name} will run here from disk, slowly: it needs {wants}, and {busy}.{how}"
        case "no":
            return f"{name} does not fit here: it needs {wants}, and {busy}."
        case "planned":
            how = "would fit here" if row.comfort == "comfortable" else "would only just fit here"
            return f"{name} {how} ({wants}, of {has}), but Gadfly cannot run it yet: {told.candidate.obstacle}."
        case "full":
            return (
                f"{name} will not run here: its files take {size_text(told.disk)}, and the disk for models has "
                f"{size_text(told.machine.disk_free)} left."
            )
        case "converted":
            how = "comfortably" if row.comfort == "comfortable" else "only just"
            return (
                f"{name} will run here {how}, if it is converted: it needs {wants}, and {here}. "
                f"gadfly pull {name} --as {precision.lower()} does that on the way."
            )
        case "file":
            return (
                f"{name} will not run here as it is published: that needs {size_text(told.given.needs.total)} of "
                f"memory as {told.given.version.name}, and {busy}. A file in {precision} would do: {wants}."
            )
        case "comfortable":
            return f"{name} will run here comfortably: it needs {wants}, and {here}."
        case "tight":
            return (
                f"{name} will run here, but only just: it needs {wants}, and {busy}. Close what you can, or take a "
                "smaller model or --context."
            )
