"""How closely a model's routers cling to few experts, as it was found where they live on disk; kept beside them.

    GADFLY_HOME/cache/packed/MODEL/clinging.json     [0.41, 0.2, …]

The first number is the share of choices that fell on the expert of its layer that was wanted most often before, the
second that of the next one, and so on. Those wanted most stay in memory, so the sum of the first n is how much is found
where n experts of each layer have room. A file that is damaged, or of another model, is as good as none.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from gadfly.errors import CapacityError, ModelFileError
from gadfly.weights.disk import replacing

__all__ = ["NAME", "found", "recall", "remember"]

NAME = "clinging.json"
FEWEST = 50  # choices of each rank, on average, that are worth to be kept
LARGEST = 2**16  # bytes of a file


def found(ranks: Sequence[float], room: float) -> float:
    """The share of choices that find their expert in memory, if a share of all experts has room.

    Without `ranks`, of routers that choose evenly.
    """
    if not ranks:
        return room
    whole = int(room * len(ranks))
    return sum(ranks[:whole]) + (room * len(ranks) - whole) * sum(ranks[whole : whole + 1])


def remember(packed: Path, counts: Sequence[int]) -> None:
    """What was counted of the model that is packed there, unless that is little."""
    if sum(counts) < FEWEST * max(1, len(counts)) or not packed.exists():
        return
    try:
        with replacing(packed.with_name(NAME)) as file:
            file.write(json.dumps([round(count / sum(counts), 5) for count in counts]).encode())
    except (CapacityError, ModelFileError):
        return  # a full disk or somebody else's: then nobody knows better


def recall(packed: Path, experts: int) -> tuple[float, ...]:
    """Shares by rank of the model that is packed there, with so many experts in a layer; empty if nothing is known."""
    try:
        with packed.with_name(NAME).open("rb") as file:
            told = json.loads(file.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return ()
    numbers = isinstance(told, list) and all(type(one) in (int, float) and 0 <= one <= 1 for one in told)
    return tuple(told) if numbers and len(told) == experts and abs(sum(told) - 1) < 0.01 else ()
