"""A conversation as Markdown: what was said is Markdown already, so it stays as it is under a line with the speaker."""

from datetime import UTC, datetime

from gadfly.chat.store import Conversation, Node, Store

__all__ = ["body", "origin", "speaker"]


def body(conversation: Conversation, _: Store) -> str:
    """The path that is shown."""
    info = conversation.info
    title = " ".join(info.title.split()) or "A conversation"
    told = [f"# {title}", f"*{datetime.fromtimestamp(info.created, UTC):%Y-%m-%d}*"]
    for node in conversation.path:
        told.append(f"---\n\n**{speaker(node)}**{origin(node)}")
        told += [f"*{file.name}, {file.bytes} bytes*" for file in node.attachments]
        if node.message.reasoning:
            told.append("\n".join(f"> {line}" for line in node.message.reasoning.splitlines()))
        told.append(node.message.content)
        told += [f"`{call.name}({call.arguments})`" for call in node.message.tool_calls]
    return "\n\n".join(filter(None, told)) + "\n\n"


def speaker(node: Node) -> str:
    """Who said it, for people."""
    if node.message.role == "user":
        return "You"
    if node.message.role == "assistant":
        return (node.provenance.persona or "Assistant").capitalize()
    return node.message.name or node.message.role.capitalize()


def origin(node: Node) -> str:
    """By which model, in brackets, if that is known."""
    known = [node.provenance.model, node.provenance.licence]
    return f" ({', '.join(filter(None, known))})" if known[0] else ""
