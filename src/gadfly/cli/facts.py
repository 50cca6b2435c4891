"""What programs read of models: the JSON that pull, list and show print. Keys are added, never renamed."""

from gadfly.hub.catalogue import Model
from gadfly.hub.library import Entry

__all__ = ["entry_facts", "model_facts"]


def entry_facts(entry: Entry) -> dict[str, object]:
    """What programs read of a model that is here."""
    return {
        "name": entry.name,
        "path": str(entry.path),
        "size": entry.size,
        "sha256": entry.sha256,
        "files": [{"path": str(f.path), "size": f.size, "sha256": f.sha256} for f in entry.files],
        "source": entry.source,
        "reference": entry.reference,
        "licence": entry.licence,
        "added": entry.added,
        "kept": entry.kept,
        "missing": str(entry.missing() or "") or None,
    }


def model_facts(model: Model) -> dict[str, object]:
    """What programs read of a model in the catalogue."""
    return {
        "name": model.name,
        "description": model.description,
        "family": model.family,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "languages": list(model.languages),
        "licence": model.licence,
        "free": model.free,
        "context": model.context,
        "template": model.template,
        "memory": model.memory,
        "page": model.page,
        "status": model.status,
        "note": model.note,
        "size": model.size,
    }
