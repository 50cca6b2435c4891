"""What a user may set, where each value came from, and the folder Gadfly lives in.

Later beats earlier: defaults < gadfly.toml under GADFLY_HOME < environment GADFLY_* < flags. A value is checked where
it enters, so that an error can name the file, the variable or the flag. Nothing is cached: who needs settings loads
them and passes them on. Which models and personas exist is not known here.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import ceil
from pathlib import Path
from typing import Any, Literal

import platformdirs

from gadfly.control_groups import ROOT, ControlGroup, control_groups
from gadfly.errors import SettingsError

__all__ = [
    "FILE",
    "RULES",
    "Origin",
    "Rule",
    "Settings",
    "available_processors",
    "bytes_of",
    "check_setting",
    "home",
    "load_settings",
]

Origin = Literal["default", "file", "environment", "flag"]
FILE = "gadfly.toml"  # under `home`


@dataclass(frozen=True)
class Settings:
    """`threads` None: as many as the engine finds best. `origins` has an entry for every other field.

    `memory`: a size such as "8GiB", below which the whole process stays; None: what there is.
    `cache`: whether packed weights are kept on disk for the next start. By default that depends on the room there is.
    """

    model: str = "smollm2"
    persona: str = "gadfly"
    wit: float = 0.5
    threads: int | None = None
    memory: str | None = None
    cache: bool = True
    offline: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """GADFLY_HOME, or the platform's user data folder. It may not exist yet. Raises SettingsError if it is a file."""
    given = environ.get("GADFLY_HOME", "")
    try:
        folder = Path(given).expanduser() if given else platformdirs.user_data_path("gadfly", appauthor=False)
        wrong = folder.exists() and not folder.is_dir()
    except (OSError, RuntimeError) as error:  # a name that is too long, a parent that may not be read, no home for ~
        raise SettingsError(f"GADFLY_HOME is {given!r}: {error}; set it to a folder you can write to") from error
    if wrong:
        raise SettingsError(f"GADFLY_HOME is {folder}, which is a file; it has to be a folder")
    return folder.absolute()


def load_settings(
    flags: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ, folder: Path | None = None
) -> Settings:
    """Settings from all four places; `folder` (default: `home`) holds gadfly.toml. A flag that is None was not given.

    Raises SettingsError naming the place, the key and what is expected there.
    """
    file = (folder or home(environ)) / FILE
    found: list[tuple[Origin, str, str, object, object]] = []  # origin, place, key, value, what was written
    found += [("file", f"{file}: {key}", key, value, value) for key, value in _read(file).items()]
    for key, rule in RULES.items():
        if text := environ.get(variable := f"GADFLY_{key.upper()}", ""):
            found.append(("environment", variable, key, rule.parse(text), text))
    found += [("flag", f"--{key}", key, value, value) for key, value in (flags or {}).items() if value is not None]

    values: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(RULES, "default")
    for origin, place, key, value, written in found:
        check_setting(place, key, value, written)
        values[key], origins[key] = value, origin
    return Settings(**values, origins=origins)


@dataclass(frozen=True)
class Rule:
    """What a setting may be, and how the text of an environment variable becomes it (None: it makes no sense)."""

    expected: str
    accepts: Callable[[object], bool]
    parse: Callable[[str], object]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def bytes_of(text: str) -> int | None:
    """120GB, 1.5GiB or a number of bytes; None if it is no size that a file or a memory can have."""
    match = re.fullmatch(r"([0-9]{1,20}(?:\.[0-9]{1,20})?) ?([A-Za-z]*)", text.strip())
    if match is None or match[2].upper() not in UNITS:
        return None
    size = float(match[1]) * UNITS[match[2].upper()]
    return int(size) if 1 <= size < 2**63 else None


def _is_size(value: object) -> bool:
    return isinstance(value, str) and bytes_of(value) is not None


def _switch(text: str) -> bool | None:
    word = text.strip().lower()
    return word in _YES if word in _YES + _NO else None


_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_thread_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024


RULES: Mapping[str, Rule] = {
    "model": Rule('the name of a model or a path, such as "smollm2"', _is_name, str),
    "persona": Rule('the name of a persona, such as "gadfly"', _is_name, str),
    "wit": Rule("a number from 0 to 1", _is_share, _number),
    "threads": Rule("a whole number from 1 to 1024", _is_thread_count, _count),
    "memory": Rule("a size such as 8GiB or 64GB", _is_size, str),
    "cache": Rule("true or false", lambda value: isinstance(value, bool), _switch),
    "offline": Rule("true or false", lambda value: isinstance(value, bool), _switch),
}


def _read(file: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}; correct or delete it") from error


def check_setting(place: str, key: str, value: object, written: object) -> None:
    """Raises SettingsError naming `place` unless `key` is a setting that may have this value."""
    rule = RULES.get(key)
    if rule is None:
        close = get_close_matches(key, RULES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(RULES)}"
        raise SettingsError(f"{place} is no setting; {hint}")
    if not rule.accepts(value):
        raise SettingsError(f"{place} is {written!r}; expected {rule.expected}")


def available_processors(root: Path = ROOT) -> int:
    """Processors that this process may keep busy: those it may run on, or less where control groups limit its time.

    Part of a processor counts as one: its owner waits now and then, yet two threads within a quota of 1.2 decode faster
    than one.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = (_quota(group) for group in control_groups("cpu", root))
    return min([count, *(max(1, ceil(quota)) for quota in quotas if quota is not None)])


def _quota(group: ControlGroup) -> float | None:
    """Seconds of processor time per second that a group may use, if it is limited."""
    if group.version == 2:
        numbers = group.read("cpu.max").split()
    else:
        numbers = [*group.read("cpu.cfs_quota_us").split(), *group.read("cpu.cfs_period_us").split()]
    if len(numbers) != 2 or not all(number.isdigit() and int(number) for number in numbers):
        return None  # "max", -1
    return int(numbers[0]) / int(numbers[1])
