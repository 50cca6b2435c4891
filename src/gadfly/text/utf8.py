"""Bytes to text when the bytes arrive in pieces and need not be valid UTF-8.

Every byte that cannot be part of a character becomes one U+FFFD, as SentencePiece does it; which tokens the bytes come
from is known in `gadfly.text.decoder`.
"""

import codecs

__all__ = ["decode_utf8"]


def decode_utf8(data: bytes, *, final: bool) -> tuple[str, bytes]:
    """Text of `data`, and the bytes at its end that could still become a character (none if `final`)."""
    text: list[str] = []
    rest = memoryview(data)
    while True:
        try:
            valid, used = codecs.utf_8_decode(rest, "strict", final)
            return "".join([*text, valid]), bytes(rest[used:])
        except UnicodeDecodeError as error:
            text += str(rest[: error.start], "utf-8"), "\ufffd" * (error.end - error.start)
            rest = rest[error.end :]
