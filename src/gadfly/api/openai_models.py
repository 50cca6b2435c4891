"""OpenAI's list of models. `context_length`, `licence` and `adapters` are extensions, some of which clients show."""

from collections.abc import Sequence
from typing import Any

from gadfly.api.model_card import ModelCard

__all__ = ["model_list", "model_object"]


def model_object(card: ModelCard) -> dict[str, Any]:
    """The body of /v1/models/NAME."""
    return {
        "id": card.name,
        "object": "model",
        "created": int(card.created),
        "owned_by": card.owner,
        "context_length": card.context,
        "licence": card.licence,
        **({"adapters": list(card.adapters)} if card.adapters else {}),
    }


def model_list(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The body of /v1/models."""
    return {"object": "list", "data": [model_object(card) for card in cards]}
