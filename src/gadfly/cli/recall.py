"""The part of the terminal's commands that is about conversations of the store: listing, opening, branches, titles."""

from typing import TYPE_CHECKING

from gadfly.chat.kept import Kept
from gadfly.chat.store import Node
from gadfly.cli.find_chat import chat_line, chat_title, find_chat
from gadfly.errors import RequestError

if TYPE_CHECKING:
    from gadfly.cli.talk import Talk

__all__ = ["branches", "chats", "open_chat", "recap", "shortened", "title"]

SHOWN = 15


def recap(talk: "Talk") -> None:
    """The end of what has been said, so that one knows where one is."""
    for turn in talk.chat.turns[-1:]:
        talk.screen.note(f"You: {turn.user}")
        talk.screen.answer(talk.chat.persona.name.capitalize(), [turn.reply.text if turn.reply else "(no answer)"])


def chats(talk: "Talk", words: str) -> None:
    kept = _kept(talk)
    if words:
        hits = kept.store.search(kept.owner, words, SHOWN)
        found = [(hit.chat, "".join(text for text, _ in hit.snippet) if hit.node else "") for hit in hits]
    else:
        found = [(chat, "") for chat in kept.store.chats(kept.owner, limit=SHOWN).chats]
    talk.listed = [chat.id for chat, _ in found]
    for number, (chat, snippet) in enumerate(found, 1):
        mark = ">" if chat.id == kept.chat else " "
        talk.screen.note(f"{mark}{number:>3}  {chat_line(chat)}")
        if snippet:
            talk.screen.note(f"      {shortened(snippet, 90)}")
    if not found:
        talk.screen.note("There are none." if not words else f"No conversation has {words!r} in it.")


def open_chat(talk: "Talk", words: str) -> None:
    kept = _kept(talk)
    if not words:
        raise RequestError("which one? /chats lists them; /open takes a number of that list, an id or words")
    if words.isdecimal() and 1 <= int(words[:6]) <= len(talk.listed):
        chat = talk.listed[int(words[:6]) - 1]
    else:
        chat = find_chat(kept.store, kept.owner, words).id
    talk.chat.open(chat)
    info = kept.store.info(kept.owner, chat)
    talk.screen.note(f"{chat_title(info)}: {len(talk.chat.turns)} exchanges. {talk.model} goes on from here.")
    recap(talk)


def branches(talk: "Talk", number: str) -> None:
    kept = _kept(talk)
    conversation = kept.store.open(kept.owner, kept.chat or _nothing())
    shown = {node.id for node in conversation.path}
    found: list[Node] = []
    for node in conversation.path or conversation.tree.children(None)[:1]:
        versions = [one for one in conversation.tree.siblings(node.id) if not one.pruned]
        found += versions if len(versions) > 1 or not shown else []
    if number:
        if not number.isdecimal() or not 1 <= int(number[:6]) <= len(found):
            raise RequestError(f"there is no version {number!r}; /branches lists {len(found) or 'none'}")
        talk.chat.choose(found[int(number[:6]) - 1].id)
        recap(talk)
        return
    for position, node in enumerate(found, 1):
        mark = ">" if node.id in shown else " "
        who = "You" if node.message.role == "user" else node.provenance.persona or node.message.role
        named = f" [{node.name}]" if node.name else ""
        talk.screen.note(f"{mark}{position:>3}  {who.capitalize()}{named}: {shortened(node.message.content, 90)}")
    if not found:
        talk.screen.note("Everything was said once. /retry and /edit make other versions; none is ever lost.")


def title(talk: "Talk", text: str) -> None:
    kept = _kept(talk)
    chat = kept.chat or _nothing()
    if text:
        kept.store.change(kept.owner, chat, title=text)
    talk.screen.note(chat_title(kept.store.info(kept.owner, chat)))


def shortened(text: str, length: int = 60) -> str:
    """On one line, with an ellipsis if there is more."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _kept(talk: "Talk") -> Kept:
    if talk.chat.kept is None:
        raise RequestError("this conversation is private: nothing is kept, and nothing can be opened")
    return talk.chat.kept


def _nothing() -> str:
    raise RequestError("nothing has been said yet")
