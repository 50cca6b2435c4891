"""Conversations to take away: to read (Markdown, HTML), to train on (lines of JSON), and what was preferred to what.

    for piece in write("markdown", store, "", chats): file.write(piece)

All chats of an owner are written one after another, so none of it has to fit into memory. The whole database as one
file, with branches, traces and attachments, is `Store.backup`.
"""

from gadfly.chat.exports.formats import FORMATS, Export, file_name, write
from gadfly.chat.exports.pairs import pair_lines, rating_lines

__all__ = ["FORMATS", "Export", "file_name", "pair_lines", "rating_lines", "write"]
