"""The shelf of adapters as pages get it: what each was made for and from, and what it is."""

from pathlib import Path
from typing import Any

from gadfly.chat.character import Character
from gadfly.errors import GadflyError
from gadfly.hub.adapters import shelved_adapters
from gadfly.hub.disk import size_of
from gadfly.weights.adapter import base_of, read_facts

__all__ = ["adapter_shapes"]


def adapter_shapes(home: Path) -> list[dict[str, Any]]:
    """All that are here, `own` or with Gadfly. Reads files.

    `persona` is whom it plays; `dial` says that wit makes it stronger, `error` that it cannot be read.
    """
    return [_shape(name, path, path.parent == home / "adapters") for name, path in shelved_adapters(home).items()]


def _shape(name: str, path: Path, own: bool) -> dict[str, Any]:
    shape: dict[str, Any] = {"name": name, "own": own, "bytes": size_of(path), "created": path.stat().st_mtime}
    try:
        facts, base = read_facts(path), base_of(path)
        character = Character.of(facts, str(path))
    except GadflyError as error:
        return {**shape, "base": None, "error": str(error)}
    known = {key: facts.get(key) for key in ("method", "samples", "steps")}
    return {**shape, **known, "base": base, "persona": character and character.persona, "dial": character is not None}
