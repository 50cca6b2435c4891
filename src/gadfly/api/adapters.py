"""`adapters`, an extension that every dialect takes: names of adapters beside the model, and how strong each is."""

from collections.abc import Mapping

from gadfly.api.fields import Fields
from gadfly.conversation import STRONGEST

__all__ = ["read_adapters"]

ADAPTER_LIMIT = 16


def read_adapters(fields: Fields) -> Mapping[str, float]:
    """Raises RequestError naming the field. Which adapters there are is not known here."""
    adapters = fields.table("adapters")
    if adapters is None:
        return {}
    names = list(adapters)
    if len(names) > ADAPTER_LIMIT:
        raise fields.wrong("adapters", f"at most {ADAPTER_LIMIT} names with a strength each")
    strengths = {name: adapters.number(name, 0, STRONGEST) for name in names}
    return {name: strength for name, strength in strengths.items() if strength is not None}
