"""The pool of cache pages: which are free, and how many hold each of the others.

A page is a number here; what is stored in it is the backend's business, who holds it that of `gadfly.engine.prefix`
and `gadfly.engine.scheduler`. The lowest free page is taken first, so that memory never needed is never touched.
"""

from heapq import heappop, heappush

__all__ = ["PagePool"]


class PagePool:
    def __init__(self, pages: int) -> None:
        self.holders = [0] * pages  # how many hold each page
        self._free = list(range(pages))  # a heap

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self) -> int | None:
        """The lowest free page, held once; None if there is none."""
        if not self._free:
            return None
        page = heappop(self._free)
        self.holders[page] = 1
        return page

    def hold(self, page: int) -> None:
        """Hold a page that somebody holds already."""
        assert self.holders[page] > 0, f"page {page} is free"
        self.holders[page] += 1

    def release(self, page: int) -> None:
        """Give up one hold; the page is free when the last is gone."""
        assert self.holders[page] > 0, f"page {page} is free"
        self.holders[page] -= 1
        if self.holders[page] == 0:
            heappush(self._free, page)

    def check(self) -> None:
        assert sorted(self._free) == [page for page, holders in enumerate(self.holders) if holders == 0]
