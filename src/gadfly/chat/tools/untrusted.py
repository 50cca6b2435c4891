"""What tools say is untrusted: text that neither a terminal obeys, nor a model takes for the end of a turn.

Orders to a terminal go whole, not only their first character, as programs colour what they print. Characters that hide
text or turn it round are shown by number, and marks by which models know tools lose their brackets. Real control tokens
are no concern here: no text of a message ever becomes one.
"""

import re
from collections.abc import Callable
from typing import Any

__all__ = ["cut", "harmless", "visible", "with_texts"]

_ORDERS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
_DIRECTIONS = {code: f"<U+{code:04X}>" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_INVISIBLE = dict.fromkeys(range(0xE0000, 0xE0080))  # letters that nobody sees, though a model reads them
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # of surrogate pairs: they cannot be written at all
_TABLE = {**_CONTROLS, **_DIRECTIONS, **_INVISIBLE, **_HALVES}
_NUMBERS = {code: f"<U+{code:04X}>" for code in _TABLE}
_MARKS = re.compile(r"<(/?(?:tools?|tool_calls?|tool_response|tool_result)\s*)>", re.IGNORECASE)


def harmless(text: str) -> str:
    """The text without orders and marks; lines end in a newline."""
    text = _ORDERS.sub("", text.replace("\r\n", "\n"))
    return _MARKS.sub(r"‹\1›", text.translate(_TABLE))


def visible(text: str) -> str:
    """The whole text, with all that a terminal would obey or nobody would see shown by number."""
    return text.translate(_NUMBERS)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """JSON with every text changed, keys included. Raises RecursionError if it is too deep."""
    match value:
        case str():
            return change(value)
        case list():
            return [with_texts(one, change) for one in value]
        case dict():
            return {change(key): with_texts(one, change) for key, one in value.items()}
    return value


def cut(text: str, most: int) -> str:
    """At most so many characters of the text, and then a line which says that it was cut."""
    if len(text) <= most:
        return text
    return f"{text[:most]}\n[cut off here: these are the first {most} of {len(text)} characters]"
