"""What a model thinks before it answers, told apart from the answer while both arrive.

Models that were taught to reason write their thoughts between two marks, and only at the beginning; some templates
write the opening mark themselves. Which marks a model knows is read from its template and its vocabulary
(`thought_marks`), never from its name. Calls of tools in what follows: `gadfly.text.tool_calls`.
"""

from typing import Literal

__all__ = ["MARKS", "Part", "ThoughtReader", "thought_marks"]

MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))

Part = tuple[Literal["thought", "text"], str]


def thought_marks(source: str, controls: frozenset[str]) -> tuple[str, str] | None:
    """The marks that a template's source mentions or that are tokens of their own; None for a model that has none."""
    return next((pair for pair in MARKS if any(mark in source or mark in controls for mark in pair)), None)


class ThoughtReader:
    """Splits a stream of text. `begun` says that the prompt ended within a thought already.

    Blank space around the marks belongs to neither side. A text that does not begin with the opening mark, blank space
    aside, is no thought.
    """

    def __init__(self, opening: str, closing: str, begun: bool = False) -> None:
        self._opening = opening
        self._closing = closing
        self._state: Literal["start", "thought", "after", "text"] = "thought" if begun else "start"
        self._shown = False  # something of the thought
        self._held = ""

    @property
    def held(self) -> int:
        """Characters that have come and belong to neither side yet."""
        return len(self._held)

    @property
    def within(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._state == "thought"

    def push(self, text: str) -> list[Part]:
        parts: list[Part] = []
        self._held += text
        while self._held and self._step(parts):
            pass
        return parts

    def flush(self) -> list[Part]:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        if self._state == "thought":
            held = held.rstrip() if self._shown else held.strip()
            return [("thought", held)] if held else []
        return [("text", held)] if held and self._state != "after" else []

    def _step(self, parts: list[Part]) -> bool:
        """Take from `_held` what is decided; False if more text has to come first."""
        text = self._held
        match self._state:
            case "text":
                parts.append(("text", text))
                self._held = ""
                return False
            case "after":
                self._held = text.lstrip()
                if self._held:
                    self._state = "text"
                return bool(self._held)
            case "start":
                stripped = text.lstrip()
                if stripped.startswith(self._opening):
                    self._held, self._state = stripped[len(self._opening) :], "thought"
                elif self._opening.startswith(stripped):
                    return False
                else:
                    self._state = "text"
                return True
            case "thought":
                thought, closing, rest = text.partition(self._closing)
                keep = len(thought) if closing else self._undecided(thought)
                thought = thought[:keep].rstrip() if closing else thought[:keep]
                if not self._shown:
                    thought = thought.lstrip()
                if thought:
                    parts.append(("thought", thought))
                    self._shown = True
                if closing:
                    self._held, self._state = rest, "after"
                    return True
                self._held = text[keep:]
                return False

    def _undecided(self, thought: str) -> int:
        """Where the end begins that may be blank space before the closing mark, or the beginning of it."""
        longest = min(len(thought), len(self._closing) - 1)
        mark = next((n for n in range(longest, 0, -1) if self._closing.startswith(thought[-n:])), 0)
        return len(thought[: len(thought) - mark].rstrip())
