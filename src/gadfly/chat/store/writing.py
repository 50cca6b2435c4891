"""An answer that is being written: kept as it grows, so that little of it is lost if the machine dies."""

import time
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from gadfly.chat.store.values import Node, State
from gadfly.chat.values import Provenance
from gadfly.conversation import Message
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.chat.store.nodes import Nodes

__all__ = ["SAVE_SECONDS", "Writing"]

SAVE_SECONDS = 0.5  # between two saves, each of which waits for the disk


class Writing:
    """See the module. `node` is the answer's place; exactly one of `finish`, `stop` and `fail` ends it.

    May be used from any thread, one at a time. If the process ends first, what was saved remains, as interrupted.
    """

    def __init__(self, store: "Nodes", node: Node, provenance: Provenance) -> None:
        self.node = node
        self.text = node.message.content
        self.reasoning = node.message.reasoning
        self._store = store
        self._provenance = provenance
        self._saved = time.monotonic()
        self._lock = Lock()
        self._ended = False

    def write(self, text: str, reasoning: str = "") -> None:
        """More of the answer, saved if that was not done within the last half second."""
        with self._lock:
            self._require_open()
            self.text += text
            self.reasoning += reasoning
            if time.monotonic() - self._saved >= SAVE_SECONDS:
                self._flush()

    def flush(self) -> None:
        """Save what there is: when it returns, it is on the disk."""
        with self._lock:
            self._require_open()
            self._flush()

    def finish(
        self, message: Message, provenance: Provenance | None = None, trace: Mapping[str, Any] | None = None
    ) -> Node:
        """The whole answer. `provenance` replaces what it was begun with; `trace` is any JSON about its tokens."""
        return self._end("complete", message, provenance, trace)

    def stop(self, provenance: Provenance | None = None, trace: Mapping[str, Any] | None = None) -> Node:
        """The user has heard enough; what was written stays."""
        return self._end("stopped", None, provenance, trace)

    def fail(self, error: str, provenance: Provenance | None = None) -> Node:
        """Something went wrong, which `error` says in a sentence; what was written stays."""
        return self._end("failed", None, replace(provenance or self._provenance, error=error), None)

    def _end(
        self,
        state: State,
        message: Message | None,
        provenance: Provenance | None,
        trace: Mapping[str, Any] | None,
    ) -> Node:
        with self._lock:
            self._require_open()
            whole = message or Message("assistant", self.text, self.reasoning)
            node = self._store._end(self.node.id, state, whole, provenance or self._provenance, trace)
            self._ended = True
            return node

    def _flush(self) -> None:
        self._store._save(self.node.id, self.text, self.reasoning)
        self._saved = time.monotonic()

    def _require_open(self) -> None:
        if self._ended:
            raise RequestError("this answer has ended already")
