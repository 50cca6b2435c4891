"""A conversation as a page that needs nothing else and does nothing: text is escaped, and no script would run.

Only fences of code are understood of Markdown. Whatever is in a message, it is shown; the policy in the head forbids
the page to load or execute anything, should a way around the escaping ever be found.
"""

import re
from datetime import UTC, datetime
from html import escape

from gadfly.chat.exports.markdown import origin, speaker
from gadfly.chat.store import Conversation, Node, Store

__all__ = ["FOOT", "HEAD", "body"]

HEAD = """<!doctype html>
<html lang="und">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Conversations</title>
<style>
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif }
article { margin: 1.5rem 0; border-left: 3px solid #8884; padding-left: 1rem }
article.user { border-color: #b8860b }
header, small { opacity: .75 }
p, pre { white-space: pre-wrap; overflow-wrap: anywhere }
pre { background: #8882; padding: .75rem; border-radius: .5rem; font-size: .9em }
section { margin-bottom: 4rem }
</style>
"""
FOOT = "</html>\n"
_FENCE = re.compile(r"^ {0,3}```[^`\n]*\n(.*?)(?:^ {0,3}```[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)


def body(conversation: Conversation, _: Store) -> str:
    """The path that is shown."""
    info = conversation.info
    title = escape(" ".join(info.title.split()) or "A conversation")
    when = f"{datetime.fromtimestamp(info.created, UTC):%Y-%m-%d}"
    said = "".join(map(_article, conversation.path))
    return f"<section>\n<h1>{title}</h1>\n<header>{when}</header>\n{said}</section>\n"


def _article(node: Node) -> str:
    files = "".join(f"<small>{escape(file.name)}, {file.bytes} bytes</small>\n" for file in node.attachments)
    thoughts = node.message.reasoning
    thought = f"<details><summary>Thoughts</summary>{_text(thoughts)}</details>\n" if thoughts else ""
    calls = "".join(f"<pre>{escape(call.name)}({escape(call.arguments)})</pre>\n" for call in node.message.tool_calls)
    who = f"<header><b>{escape(speaker(node))}</b>{escape(origin(node))}</header>"
    return (
        f'<article class="{node.message.role}">{who}\n{files}{thought}{_text(node.message.content)}{calls}</article>\n'
    )


def _text(text: str) -> str:
    """Paragraphs, and blocks of code."""
    found, position = [], 0
    for fence in _FENCE.finditer(text):
        found += [_paragraph(text[position : fence.start()]), f"<pre>{escape(fence[1])}</pre>\n"]
        position = fence.end()
    return "".join([*found, _paragraph(text[position:])])


def _paragraph(text: str) -> str:
    return f"<p>{escape(text.strip())}</p>\n" if text.strip() else ""
