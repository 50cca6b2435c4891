"""Text that an engine writes, in pieces as they come: what programs and the chat iterate over.

APIs want to know more of an answer than its text: see `gadfly.answer.answer`.
"""

from collections.abc import Iterator
from dataclasses import replace

from gadfly.completion import Completion
from gadfly.engine import Handle
from gadfly.text import Decoder, StopStrings, Tokenizer, TranscriptAnswer

__all__ = ["Generation"]


class Generation:
    """An answer under way: iterate for its pieces; then, or after `cancel`, `completion` has the whole."""

    def __init__(self, handle: Handle, tokenizer: Tokenizer | None, stops: StopStrings | TranscriptAnswer) -> None:
        self._handle = handle
        self._decoder = Decoder(tokenizer) if tokenizer else None
        self._stops = stops
        self._text = ""
        self._ids: list[int] = []
        self._stopped = False
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def cancel(self) -> None:
        self._handle.cancel()

    def __del__(self) -> None:
        self._handle.cancel()  # whoever forgets an answer does not want its rest

    @property
    def completion(self) -> Completion:
        """The answer so far; final once iteration has ended."""
        reason = "stop" if self._stopped else self._handle.finish_reason or "cancelled"
        usage = replace(self._handle.usage, completion_tokens=len(self._ids))  # the engine may be ahead of a stop
        return Completion(self._text, tuple(self._ids), reason, usage)

    def _run(self) -> Iterator[str]:
        try:
            for token in self._handle:
                self._ids.append(token)
                piece, self._stopped = self._stops.push(self._decoder.push(token) if self._decoder else "")
                yield from self._show(piece)
                if self._stopped:
                    return
            if self._decoder:
                piece, self._stopped = self._stops.push(self._decoder.flush())
                yield from self._show(piece)
            if not self._stopped:
                yield from self._show(self._stops.flush())
        finally:
            self._handle.cancel()

    def _show(self, piece: str) -> Iterator[str]:
        if piece:
            self._text += piece
            yield piece
