"""An answer of the model while it comes: in pieces, each on record before somebody reads it, and ended in any case.

What the answer means for the conversation, which may be that tools are to be called: `session`.
"""

from collections.abc import Iterator

from gadfly.chat.kept import Kept
from gadfly.chat.tools.calling import EventGeneration
from gadfly.chat.values import Generation, Message, Provenance

__all__ = ["Coming"]


class Coming:
    """Of a `generation`; kept behind `parent` if there is a place, and an origin, for it.

    Once its pieces have ended: `said` is the message with its calls, of an answer in events; `node` its number in the
    store; `failure` what ended it, if something did.
    """

    def __init__(
        self, generation: Generation, kept: Kept | None, parent: int | None, origin: Provenance | None
    ) -> None:
        self.said: Message | None = None
        self.node: int | None = None
        self.failure: Exception | None = None
        self._generation = generation
        self._kept, self._origin = kept, origin
        self._writing = None if kept is None or origin is None else kept.begin(parent, origin)

    def pieces(self) -> Iterator[str]:
        """Once; closing it cancels the answer."""
        generation, writing = self._generation, self._writing
        try:
            for piece in generation:
                if writing is not None:
                    writing.write(piece)
                yield piece
        except Exception as error:
            self.failure = error
            raise
        finally:
            generation.cancel()
            self.said = generation.message if isinstance(generation, EventGeneration) else None
            if self._kept is not None and writing is not None and self._origin is not None:
                self.node = self._kept.end(writing, self._origin, generation.completion, self.failure, self.said).id
