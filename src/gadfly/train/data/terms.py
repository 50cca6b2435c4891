"""What the licence of a line of data says of training on it: the strictest of all that the line tells of itself.

    "meta": {"licence": "CC0-1.0", "model": "grok-2", "source": "chatgpt"}    our own form
    "provenance": [{"message": 1, "model", "licence", …}]                     as conversations are exported
    "licences": {"chosen": {"model", "licence", …}, "rejected": {…}}          as pairs are exported

A model of the catalogue that is named without a licence has the one that the catalogue knows. What licences say:
`gadfly.chat.licences`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gadfly.chat.licences import Verdict, training_verdict
from gadfly.chat.values import Provenance
from gadfly.hub.catalogue import Catalogue

__all__ = ["Terms"]

ORDER = ("free", "conditions", "unknown", "forbidden")


class Terms:
    """Judges lines; it has read the catalogue."""

    def __init__(self) -> None:
        self._licences = {name: model.licence for name, model in Catalogue.load().items()}

    def verdict(self, table: Mapping[str, Any]) -> Verdict | None:
        """None if the line says nothing of where it comes from."""
        verdicts = [training_verdict(origin) for origin in self._origins(table)]
        return max(verdicts, key=lambda one: ORDER.index(one.training), default=None)

    def _origins(self, table: Mapping[str, Any]) -> Iterator[Provenance]:
        listed, named = table.get("provenance"), table.get("licences")
        places = [table.get("meta"), *(listed if isinstance(listed, list) else [])]
        for place in [*places, *(named.values() if isinstance(named, dict) else [])]:
            if not isinstance(place, dict):
                continue
            model, licence, source = (
                value if isinstance(value := place.get(key), str) else None for key in ("model", "licence", "source")
            )
            if licence is None and model is not None:
                licence = self._licences.get(model.lower())
            if licence is not None or model is not None or source in ("chatgpt", "claude"):
                yield Provenance(model=model, licence=licence, source=source)
