"""What Ollama's clients are told of models: which are here (tags), which are loaded (ps), what one is (show).

Also the lines of a pull, and what a copy names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gadfly.api.fields import Fields
from gadfly.api.model_card import ModelCard
from gadfly.api.ollama_answers import timestamp

__all__ = ["Loaded", "pull_progress", "read_copy", "show", "tags", "version", "working"]

FOREVER = 253_402_300_799.0  # the last second of the year 9999


@dataclass(frozen=True)
class Loaded:
    """A model in memory: bytes it takes, its context there, and when it will go, in seconds since 1970."""

    card: ModelCard
    memory: int
    context: int
    expires: float


def version(number: str) -> dict[str, str]:
    """The body of /api/version."""
    return {"version": number}


def tags(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The body of /api/tags."""
    return {"models": [{**_names(card), "modified_at": timestamp(card.created)} for card in cards]}


def working(loaded: Sequence[Loaded]) -> dict[str, Any]:
    """The body of /api/ps. Whoever stays forever stays until the end of the calendar."""
    return {
        "models": [
            {
                **_names(each.card),
                "size": each.memory,
                "size_vram": 0,
                "context_length": each.context,
                "expires_at": timestamp(min(each.expires, FOREVER)),
            }
            for each in loaded
        ]
    }


def show(card: ModelCard) -> dict[str, Any]:
    """The body of /api/show."""
    family = card.family or "unknown"
    return {
        "modelfile": f"FROM {card.name}\n",
        "parameters": "",
        "template": card.template,
        "license": card.licence,
        "details": _details(card),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": card.parameters,
            f"{family}.context_length": card.context,
            f"{family}.embedding_length": card.width,
        },
        "capabilities": list(card.capabilities),
        "modified_at": timestamp(card.created),
    }


def pull_progress(status: str, digest: str = "", total: int = 0, completed: int = 0) -> dict[str, Any]:
    """A line of a pull; the last has the status "success"."""
    amount = {"digest": digest, "total": total, "completed": completed} if total else {}
    return {"status": status, **amount}


def read_copy(body: object) -> tuple[str, str]:
    """What /api/copy is asked for: from which name to which. Raises RequestError naming the field."""
    fields = Fields(body)
    source, destination = fields.need_text("source", 1000), fields.need_text("destination", 1000)
    return source.removesuffix(":latest"), destination.removesuffix(":latest")


def _names(card: ModelCard) -> dict[str, Any]:
    found = {"name": card.name, "model": card.name, "size": card.size, "digest": card.digest}
    return {**found, "details": _details(card)}


def _details(card: ModelCard) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": card.format,
        "family": card.family,
        "families": [card.family] if card.family else [],
        "parameter_size": _parameters(card.parameters),
        "quantization_level": card.quantization,
    }


def _parameters(count: int) -> str:
    """As people write it: 134.52M, 7.2B."""
    for unit, name in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.4g}{name}"
    return str(count)
