"""Conversations of other programs, trees and all: ChatGPT, Claude, Open WebUI, LibreChat, llama.cpp; and our own.

    report = take(store, owner="", data=Path("export.zip").read_bytes())
    report.taken, report.format, report.skipped     # what came, from whom, and what did not come and why

A page per format says what it looks like. Files are hostile until they are read: `file` bounds what is unpacked and
parsed, `tree` unties cycles, and what is damaged is left out and told, while the rest is taken.
"""

from gadfly.chat.imports.reasons import Reason, Skipped
from gadfly.chat.imports.take import Report, take
from gadfly.chat.imports.values import Said, Told

__all__ = ["Reason", "Report", "Said", "Skipped", "Told", "take"]
