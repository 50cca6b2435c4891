"""Who runs next: requests in the order they came, but clients in the order of how little they have had so far.

Every client's computed tokens are counted while it has requests under way, and whose count is lowest is served next
(virtual token counters, arXiv 2401.00588). Who comes begins at the lowest count there is, so that nobody saves up
rights by staying away, and a client with a thousand requests delays another's only request by one of its own.
"""

from collections import deque
from collections.abc import Iterator

from gadfly.engine.request import Sequence

__all__ = ["FairQueue"]


class FairQueue:
    """Sequences that wait, and what the clients of all, waiting or not, have had."""

    def __init__(self) -> None:
        self._back: deque[Sequence] = deque()  # had begun and were set back: they go before all others
        self._waiting: dict[str, deque[Sequence]] = {}  # of each client that has some
        self._served: dict[str, int] = {}  # tokens, of each client with requests under way
        self._requests: dict[str, int] = {}  # under way, of each client

    def __len__(self) -> int:
        return len(self._back) + sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Sequence]:
        """Those who wait, in the order in which they would run if nobody else came."""
        places: list[tuple[int, int, Sequence]] = []
        for client, line in self._waiting.items():
            served = self._served[client]
            for sequence in line:
                places.append((served, len(places), sequence))
                served += sequence.pending
        yield from self._back
        yield from (sequence for *_, sequence in sorted(places, key=lambda place: place[:2]))

    def has_room(self, client: str, most: int) -> bool:
        """Whether a client may add a request where `most` may wait.

        Nobody has more waiting than places are free, so that whoever comes next finds one: who is alone may fill half
        of them, the second half of what is left (dynamic thresholds, Choudhury and Hahne 1998).
        """
        free = most - len(self)
        return free > 0 and len(self._waiting.get(client, ())) <= free

    def served(self, sequence: Sequence) -> int:
        """Tokens that its client has had, in a count that is fair to compare."""
        return self._served[sequence.request.client]

    def charge(self, sequence: Sequence, tokens: int) -> None:
        """So many tokens are computed for a sequence."""
        self._served[sequence.request.client] += tokens

    def add(self, sequence: Sequence) -> None:
        """A new one."""
        client = sequence.request.client
        self._served.setdefault(client, min(self._served.values(), default=0))
        self._requests[client] = self._requests.get(client, 0) + 1
        self._waiting.setdefault(client, deque()).append(sequence)

    def front(self) -> Sequence | None:
        """Who is next."""
        if self._back:
            return self._back[0]
        if not self._waiting:
            return None
        return self._waiting[min(self._waiting, key=lambda client: self._served[client])][0]

    def take(self, sequence: Sequence) -> None:
        """It waits no longer."""
        if sequence in self._back:
            self._back.remove(sequence)
            return
        line = self._waiting[sequence.request.client]
        line.remove(sequence)
        if not line:
            del self._waiting[sequence.request.client]

    def put_back(self, sequence: Sequence) -> None:
        """It has to wait again, in front of all who do."""
        self._back.appendleft(sequence)

    def leave(self, sequence: Sequence) -> None:
        """It is finished. If it was its client's last, so is the count."""
        client = sequence.request.client
        self._requests[client] -= 1
        if not self._requests[client]:
            del self._requests[client], self._served[client]
