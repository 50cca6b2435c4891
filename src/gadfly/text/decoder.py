"""Text from tokens as they arrive: a character is shown when all its bytes are there, and not before.

It says bit by bit what `Tokenizer.decode` says about the whole. It does not know where an answer ends: stop tokens
belong to the engine, stop strings to `gadfly.text.stops`.
"""

from gadfly.text.tokenizer import Tokenizer
from gadfly.text.utf8 import decode_utf8

__all__ = ["Decoder"]


class Decoder:
    """Of a text from its beginning, or of one that has `begun` already."""

    def __init__(self, tokenizer: Tokenizer, begun: bool = False) -> None:
        self._tokenizer = tokenizer
        self._pending = b""  # the beginning of a character
        self._head: list[int] | None = None if begun else []  # tokens so far, until the first that shows

    def push(self, token: int) -> str:
        """The text that is certain now that this token has come."""
        data = self._tokenizer.token_bytes(token)
        if self._tokenizer.is_fragment(token):
            self._head = None
            text, self._pending = decode_utf8(self._pending + data, final=False)
            return text
        before = self.flush()
        if self._head is None:
            return before + data.decode()
        # A space in front of the first word is not shown, by rules that the tokenizer knows.
        if data:
            self._head.append(token)
        if text := self._tokenizer.decode(self._head):
            self._head = None
        return text

    def flush(self) -> str:
        """What is left when no more tokens come: the bytes of a character that was not completed, as U+FFFD each."""
        text, self._pending = decode_utf8(self._pending, final=True)
        return text
