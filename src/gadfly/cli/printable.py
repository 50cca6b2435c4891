"""What a model says is untrusted: text that a terminal shows instead of obeying.

A terminal takes control characters as orders: to move, to hide, to change the title, in some to type. So they are
removed, apart from newline and tab; what orders characters from right to left is shown by number, as it makes text
read otherwise than it is. Character by character, so that it works on any piece of a stream.
"""

__all__ = ["printable"]

_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}  # C0, DEL, C1
_DIRECTIONS = {code: f"<U+{code:04X}>" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")  # of surrogate pairs: they cannot be written at all
_TABLE = {**_CONTROLS, **_DIRECTIONS, **_HALVES}


def printable(text: str) -> str:
    """The text without control characters (except newline and tab) and with visible changes of direction."""
    return text.translate(_TABLE)
