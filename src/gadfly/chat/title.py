"""A title for a conversation where no model has given it one: the first words that were said in it."""

__all__ = ["TITLE_LENGTH", "title_of"]

TITLE_LENGTH = 60  # characters


def title_of(text: str) -> str:
    """Of the first line that says something, as many whole words as there is room for."""
    line = next((" ".join(line.split()) for line in text.splitlines() if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH].rpartition(" ")[0] or line[: TITLE_LENGTH - 1]
    return f"{cut.rstrip(' ,;:.-')}…"
