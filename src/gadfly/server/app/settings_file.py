"""Settings as the app shows and changes them: where each value comes from, and what keeps it from being changed there.

Only gadfly.toml is ever written, by tomlkit, which leaves the user's comments and order as they are.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from gadfly.errors import RequestError, SettingsError
from gadfly.hub.disk import lock, write_whole, writing
from gadfly.settings import FILE, RULES, Settings, check_setting, load_settings

__all__ = ["change_settings", "settings_table"]

AT_START = ("threads", "cache", "offline")  # what a running server does not look at again
HIDDEN = ("memory",)  # which the page has no control for


def settings_table(home: Path, flags: Mapping[str, object]) -> list[dict[str, Any]]:
    """Every setting that the page shows. `locked_by` is the variable or flag that beats the file."""
    now = load_settings(flags, folder=home)
    defaults = {field.name: field.default for field in fields(Settings)}
    return [
        {
            "key": key,
            "value": getattr(now, key),
            "default": defaults[key],
            "origin": now.origins[key],
            "locked_by": _lock(key, now),
            "expected": rule.expected,
            "restart": key in AT_START,
        }
        for key, rule in RULES.items()
        if key not in HIDDEN
    ]


def change_settings(home: Path, flags: Mapping[str, object], changes: Mapping[str, object]) -> None:
    """Write values into gadfly.toml; None removes one. All of them, or none.

    Raises RequestError for what is no setting, not allowed, or decided elsewhere; SettingsError if the file is damaged.
    """
    now, file = load_settings(flags, folder=home), home / FILE
    for key, value in changes.items():
        try:
            if value is not None or key not in RULES:
                check_setting(key, key, value, value)
        except SettingsError as error:
            raise RequestError(str(error), key) from None
        if locked := _lock(key, now):
            raise RequestError(f"{key} is decided by {locked}, which beats the file; change it there", key)
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
    with lock(home / f"{FILE}.lock"):
        document = _read(file)
        for key, value in changes.items():
            if value is None:
                document.pop(key, None)
            else:
                document[key] = value
        with writing(file):
            write_whole(file, tomlkit.dumps(document).encode())


def _lock(key: str, now: Settings) -> str | None:
    match now.origins[key]:
        case "environment":
            return f"GADFLY_{key.upper()}"
        case "flag":
            return "the command line of gadfly serve"
    return None


def _read(file: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(file.read_bytes().decode())
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, ValueError, TOMLKitError, RecursionError) as error:
        raise SettingsError(f"{file} cannot be read as TOML: {error}; correct or delete it") from error
