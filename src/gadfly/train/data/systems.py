"""Under which system prompt a model is to speak: that of the conversations it learns."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from gadfly.lines import Row, read_lines
from gadfly.train.data.chats import message_of

__all__ = ["usual_system"]

_LOOKED_AT = 1000  # lines of a file


def usual_system(files: Iterable[Path]) -> str | None:
    """The one that most of them have, be they conversations, pairs or thumbs; None if most have none.

    Raises NotFoundError or RequestError for a file that cannot be read.
    """
    found = Counter(system for file in files for system in islice(_systems(file), _LOOKED_AT))
    return found.most_common(1)[0][0] if found else None


def _systems(file: Path) -> Iterator[str | None]:
    for row in read_lines(file):
        if isinstance(row, Row):
            messages = row.table.get("messages", row.table.get("prompt"))
            if not isinstance(messages, list) or not messages:
                yield None
                continue
            try:
                first = message_of(messages[0], "message 1")
            except ValueError:  # which is told where it was to be learnt
                continue
            yield first.content if first.role == "system" else None
