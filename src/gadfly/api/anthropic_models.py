"""Anthropic's list of models."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gadfly.api.model_card import ModelCard

__all__ = ["model_info", "model_page"]


def model_info(card: ModelCard) -> dict[str, Any]:
    """The body of /v1/models/NAME for a client of Anthropic's."""
    return {
        "type": "model",
        "id": card.name,
        "display_name": card.name,
        "created_at": datetime.fromtimestamp(card.created, UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": card.context,
        "max_tokens": card.context,
    }


def model_page(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """The body of /v1/models for a client of Anthropic's: all of them on one page."""
    first, last = (cards[0].name, cards[-1].name) if cards else (None, None)
    return {"data": [model_info(card) for card in cards], "has_more": False, "first_id": first, "last_id": last}
