"""A conversation as a transcript: how a base model, which was never taught to converse, is made to play a part.

    You are Gadfly, a chatbot. Give short, correct answers.

    User: What is the capital of Italy?
    Assistant: The capital of Italy is Rome.
    User: Name two
      others.
    Assistant:

A message is a line that begins with who speaks; its further lines are indented, so no text within it can pass for a
turn of its own. The model continues, and `TranscriptAnswer` is the way back: it takes its answer out of what comes. A
single line break between turns is what small models keep to best. Models with a template of their own: see `prompt`.
"""

import re
from collections.abc import Iterable, Sequence

from gadfly.text.stops import StopStrings
from gadfly.text.tokenizer import Tokenizer

__all__ = ["TranscriptAnswer", "encode_transcript", "write_transcript"]

LABELS = {"user": "User:", "assistant": "Assistant:"}
INDENT = "  "
FURTHER_LINE = re.compile(r"\n *[^ \n]")
ENDS = (*(f"\n{space}{label}" for space in ("", INDENT) for label in LABELS.values()), "\n\n\n\n")


def encode_transcript(tokenizer: Tokenizer, messages: Iterable[tuple[str, str]], prefix: str = "") -> list[int]:
    """Ids of `write_transcript`, behind the token that begins a text if the model expects one; no control tokens."""
    return tokenizer.encode(write_transcript(messages, prefix), bos=tokenizer.adds_bos)


def write_transcript(messages: Iterable[tuple[str, str]], prefix: str = "") -> str:
    """Pairs of role and content up to where the assistant's answer begins, or to the end of its `prefix`.

    A system message introduces what follows.
    """
    turns = []
    for role, content in messages:
        text = f"\n{INDENT}".join(line.rstrip() for line in content.strip().splitlines())
        turns.append(f"{LABELS[role]} {text}\n" if role in LABELS else f"{_unlabelled(text)}\n\n")
    begun = f"\n{INDENT}".join(prefix.split("\n"))
    return "".join([*turns, LABELS["assistant"], f" {begun}" if prefix else ""])


def _unlabelled(text: str) -> str:
    return f"{INDENT}{text}" if text.startswith(tuple(LABELS.values())) else text


class TranscriptAnswer:
    """The answer in what a model writes behind a transcript, without blank space around it; used like StopStrings.

    It ends where a line begins with the label of a speaker, at three blank lines, or before a text of `stop`. Further
    lines lose their indentation, if the first of them has that of a transcript. One that has `begun` goes on from a
    prefix.
    """

    def __init__(self, stop: Sequence[str] = (), begun: bool = False) -> None:
        self._ends = StopStrings(ENDS)
        self._stops = StopStrings(stop)
        self._begun = begun
        self._shown = begun
        self._indented: bool | None = None  # None: there has been one line only
        self._blank = ""  # at the end so far

    @property
    def found(self) -> str | None:
        """The text of `stop` that has appeared."""
        return self._stops.found

    def push(self, piece: str) -> tuple[str, bool]:
        """Text that may be shown, and whether the answer has ended."""
        if not self._begun:
            piece = piece.lstrip()
            if not piece:
                return "", False
            self._begun = True
            piece = f"\n{piece}"  # the first line, too, may begin with a label
        text, ended = self._ends.push(piece)
        text, stopped = self._stops.push(self._trimmed(text))
        if ended and not stopped:
            text += self._stops.flush()
        return text, ended or stopped

    def flush(self) -> str:
        """What was held back, when no more text comes; but not a further line that may have become a label."""
        held = "" if self._shown else self._ends.flush()
        text, stopped = self._stops.push(self._trimmed(held))
        return text if stopped else text + self._stops.flush()

    def _trimmed(self, text: str) -> str:
        """Blank space is held back until something follows it, so a line break is never apart from its indentation."""
        text = self._blank + text if self._shown else text.lstrip()
        trimmed = text.rstrip()
        self._blank = text[len(trimmed) :]
        self._shown = self._shown or bool(trimmed)
        if self._indented is None and (line := FURTHER_LINE.search(trimmed)):
            self._indented = line[0].startswith(f"\n{INDENT}")
        return trimmed.replace(f"\n{INDENT}", "\n") if self._indented else trimmed
