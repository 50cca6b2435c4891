"""`Store`: all of it together. What it can do is told where it is done."""

from gadfly.chat.store.opinions import Opinions

__all__ = ["Store"]


class Store(Opinions):
    """The conversations of this machine in one file: `Store(home() / "chats.sqlite")`.

    Chats come from `chats`, the tree from `nodes`, then `search`, `upkeep` and `opinions`; each adds to the one before.
    """
