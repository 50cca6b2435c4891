"""Conversations in one SQLite file, kept for good: every message, every branch, and what it takes to say it again.

    store = Store(home() / "chats.sqlite")
    chat = store.create(owner="")
    asked = store.say("", chat.id, None, Message("user", "Why?"))
    writing = store.begin("", chat.id, asked.id, Provenance(model="smollm2"))
    writing.write("Because")                    # saved twice a second, so that little is lost if the machine dies
    answer = writing.finish(Message("assistant", "Because."))
    store.open("", chat.id).path                # [asked, answer]

What a method has returned is on the disk. One `Store` serves all threads of a process, and several processes may have
the same file open: a terminal and a server. A chat has an owner, the name of a key of `gadfly serve`; without keys that
is "". Whoever asks as somebody else is told that there is no such chat. The tables: `schema`. The values: `values`.
"""

from gadfly.chat.store.store import Store
from gadfly.chat.store.values import (
    Arrival,
    Cause,
    ChatInfo,
    Conversation,
    Feedback,
    Hit,
    Listing,
    Node,
    Pair,
    Rating,
    State,
    Vote,
)
from gadfly.chat.store.writing import Writing
from gadfly.chat.values import Attachment, Provenance

__all__ = [
    "Arrival",
    "Attachment",
    "Cause",
    "ChatInfo",
    "Conversation",
    "Feedback",
    "Hit",
    "Listing",
    "Node",
    "Pair",
    "Provenance",
    "Rating",
    "State",
    "Store",
    "Vote",
    "Writing",
]
