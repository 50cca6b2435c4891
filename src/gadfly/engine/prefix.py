"""Pages by what is in them, so that no prefix is computed twice.

A full page is found by the tokens it holds and the page before it, so a page stands for one whole prefix. Pages enter
as they fill up, while their sequence still runs; only whole pages are shared, so requests that part in the middle of a
page compute that page each for themselves. Sequences that filled equal pages at the same time end up holding one.

    system prompt ── page 0 ── page 1 ─┬─ page 4 ── page 6      a sequence holds every page on its way to the root,
                                       └─ page 5                so a page that nobody holds has none behind it

Keys and values depend on the strengths of adapters, so there is a root for every tuple of these.

A page that no sequence holds is idle: kept for whoever comes next, until its place is needed.
"""

from collections import OrderedDict
from collections.abc import Sequence

from gadfly.engine.pages import PagePool

__all__ = ["ROOT", "Key", "PrefixIndex", "Root"]

Root = tuple[float, ...]  # strengths of adapters 0, 1, …: in place of a page before a sequence's first one
ROOT: Root = ()  # that of the base

Key = tuple[int | Root, tuple[int, ...]]  # the page before and the tokens of this one


class PrefixIndex:
    """Hands out pages of the pool and takes them back; holds every page it knows once itself."""

    def __init__(self, pool: PagePool, page_size: int) -> None:
        self.page_size = page_size
        self._pool = pool
        self._pages: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()  # first to be evicted first; children before parents

    @property
    def available(self) -> int:
        """How many pages `take` can give."""
        return self._pool.free + len(self._idle)

    @property
    def idle(self) -> int:
        """How many of them hold a known prefix."""
        return len(self._idle)

    def take(self) -> int | None:
        """An empty page, evicting the idle page released longest ago if none is free; None if all are held."""
        if not self._pool.free and self._idle:
            self._evict()
        return self._pool.take()

    def lookup(self, tokens: Sequence[int], root: Root = ROOT) -> list[int]:
        """Hold and return the pages of the longest known prefix. The last token is left out: its logits are wanted."""
        pages: list[int] = []
        for start in range(0, len(tokens) - self.page_size, self.page_size):
            page = self.find(pages[-1] if pages else root, tuple(tokens[start : start + self.page_size]))
            if page is None:
                break
            pages.append(page)
        return pages

    def find(self, parent: int | Root, tokens: tuple[int, ...]) -> int | None:
        """Hold and return the page known to hold `tokens` behind `parent`; None if there is none."""
        page = self._pages.get((parent, tokens))
        if page is not None:
            self._hold(page)
        return page

    def insert(self, parent: int | Root, tokens: Sequence[int], page: int) -> int:
        """Make known that `page`, held by the caller, holds `tokens` behind `parent`.

        Returns the page to use from now on: if an equal one is known, the caller holds that one instead.
        """
        key = (parent, tuple(tokens))
        if key in self._pages:
            self._hold(self._pages[key])
            self._pool.release(page)
        else:
            self._pages[key], self._keys[page] = page, key
            self._pool.hold(page)
        return self._pages[key]

    def release(self, pages: Sequence[int]) -> None:
        """Give up a sequence's pages, given from the root on."""
        for page in reversed(pages):  # so that what is idle longest has no children left
            self._pool.release(page)
            if page in self._keys and self._pool.holders[page] == 1:
                self._idle[page] = None

    def _hold(self, page: int) -> None:
        self._pool.hold(page)
        self._idle.pop(page, None)

    def _evict(self) -> None:
        page, _ = self._idle.popitem(last=False)
        del self._pages[self._keys.pop(page)]
        self._pool.release(page)

    def check(self, held: Sequence[Sequence[int]]) -> None:
        """Assert that the books agree with what sequences hold: the pages of each, from the root on."""
        self._pool.check()
        holders = [int(page in self._keys) for page in range(len(self._pool.holders))]
        for pages in held:
            for page in pages:
                holders[page] += 1
        assert holders == self._pool.holders, "a page is leaked or held by more than is known"
        assert {key: page for page, key in self._keys.items()} == self._pages
        assert set(self._idle) == {page for page in self._keys if holders[page] == 1}
        place = {page: order for order, page in enumerate(self._idle)}
        for page, (parent, _) in self._keys.items():
            if isinstance(parent, tuple):
                continue
            assert parent in self._keys, "a page cannot be reached any more"
            assert place.get(page, -1) < place.get(parent, len(place)), "a parent would be evicted before its child"
