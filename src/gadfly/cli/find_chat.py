"""From what a person types to a chat in the store: its id, how that begins, or words that only it has."""

from datetime import datetime

from gadfly.chat.store import ChatInfo, Store
from gadfly.errors import NotFoundError, RequestError

__all__ = ["chat_line", "chat_title", "find_chat"]

LEAST = 3  # characters of an id
SHOWN = 5


def find_chat(store: Store, owner: str, words: str) -> ChatInfo:
    """Raises NotFoundError if nothing fits, RequestError naming some if several do."""
    found = store.beginning(owner, words) if len(words) >= LEAST else []
    if not found:
        found = [hit.chat for hit in store.search(owner, words, SHOWN + 1)]
    if not found:
        raise NotFoundError(f"there is no chat that {words!r} fits; gadfly chats list shows them")
    if len(found) > 1:
        names = "; ".join(f"{one.id[:8]} {chat_title(one)}" for one in found[:SHOWN])
        raise RequestError(f"{words!r} fits several chats: {names}{'; …' if len(found) > SHOWN else ''}")
    return found[0]


def chat_title(info: ChatInfo) -> str:
    """On one line, even if it has none."""
    return " ".join(info.title.split()) or "(no title)"


def chat_line(info: ChatInfo) -> str:
    """A chat in a list."""
    when = f"{datetime.fromtimestamp(info.updated):%Y-%m-%d %H:%M}"
    marks = "".join(mark for mark, on in (("*", info.pinned), ("a", info.archived), ("x", info.deleted)) if on)
    return f"{info.id[:8]}  {when}  {info.messages:>5}  {marks:<2} {chat_title(info)}"
