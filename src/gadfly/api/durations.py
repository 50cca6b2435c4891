"""How long Ollama's clients want a model to stay: seconds as a number, or text in Go's notation, as in "1h30m"."""

import math
import re

from gadfly.api.fields import Fields

__all__ = ["read_keep_alive"]

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ns|us|µs|ms|s|m|h)")
_WHOLE = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")
_BARE = re.compile(r"[+-]?\d{1,12}")


def read_keep_alive(fields: Fields) -> float | None:
    """Seconds, infinity for less than none; None if the client does not say."""
    found = fields["keep_alive"]
    if found is None:
        return None
    if not isinstance(found, str):
        seconds = fields.number("keep_alive", -1e12, 1e12) or 0.0
    elif _BARE.fullmatch(found):
        seconds = float(found)
    elif whole := _WHOLE.fullmatch(found[:200]):
        seconds = sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(whole[2]))
        seconds = -seconds if whole[1] == "-" else seconds
    else:
        raise fields.wrong("keep_alive", 'a number of seconds or a text such as "5m"')
    return math.inf if seconds < 0 else seconds
