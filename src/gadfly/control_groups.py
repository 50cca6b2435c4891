"""The control groups (cgroups) around this process, in which containers and services live, one inside another.

Both versions of them are found. Which of their files limit what, only those know who read them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["ROOT", "ControlGroup", "control_groups", "text_of"]

ROOT = Path("/")


@dataclass(frozen=True)
class ControlGroup:
    version: Literal[1, 2]
    folder: Path

    def read(self, name: str) -> str:
        """What a file of the group says; nothing if there is none."""
        return text_of(self.folder / name)


def control_groups(controller: str, root: Path = ROOT) -> Iterator[ControlGroup]:
    """Where `controller`, such as memory, may limit this process: from the innermost group outwards."""
    memberships = [line.split(":", 2) for line in text_of(root / "proc/self/cgroup").splitlines()]
    versions: tuple[tuple[Literal[1, 2], str, str], ...] = ((2, "", ""), (1, controller, controller))
    for version, mount, mark in versions:
        paths = [line[2] for line in memberships if len(line) == 3 and mark in line[1].split(",")]
        group = Path(*paths[:1]).relative_to("/") if paths and paths[0].startswith("/") else Path()
        for inner in dict.fromkeys((group, *group.parents, Path())):
            yield ControlGroup(version, root / "sys/fs/cgroup" / mount / inner)


def text_of(file: Path) -> str:
    """What a file of the system says; nothing if there is none, as on other systems."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
