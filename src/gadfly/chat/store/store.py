"""`Store`: all of it together. What it can do is told where it is done."""

from gadfly.chat.store.upkeep import Upkeep

__all__ = ["Store"]


class Store(Upkeep):
    """The conversations of this machine in one file: `Store(home() / "chats.sqlite")`.

    Chats come from `chats`, the tree from `nodes`, then `search`, `opinions` and `upkeep`; each adds to the one before.
    """
