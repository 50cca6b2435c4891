"""What the voice is learnt from, as the persona will be asked: its prompt and examples first, then people's questions.

    python lessons.py OUT.jsonl

reads asides.jsonl and data/train.jsonl beside this. An aside is learnt behind the answer that the base itself gives, so
that what is learnt is when to add something, and what, and not to answer otherwise; where the base has nothing sensible
to say, `replies` are whole ones. Several questions share a conversation, as the prompt is longer than most of them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from gadfly.chat.persona import load_persona

HERE = Path(__file__).parent
WITS = (0.5, 0.5, 1.0)  # whose prompts lead conversations, in these shares
TURNS = (1, 6, 9, 12)  # how many a conversation has, or a few more

Turn = dict[str, str]
Talk = list[Turn]  # that belong together


def exchanges(row: dict[str, Any]) -> list[Talk]:
    """A question and its answer, for each of the two that were written."""
    replies = row.get("replies") or [f"{row['answer']} {aside}".strip() for aside in row["asides"]]
    asked = {"role": "user", "content": row["question"]}
    return [[asked, {"role": "assistant", "content": reply}] for reply in replies]


def talks(draw: Random) -> list[Talk]:
    """All that is learnt, in an order in which the two answers to a question lie far apart."""
    halves: tuple[list[Talk], list[Talk]] = [], []
    for row in rows("asides.jsonl"):
        both = exchanges(row)
        draw.shuffle(both)
        halves[0].append(both[0])
        halves[1].append(both[1])
    whole: list[Talk] = [row["messages"][1:] for row in rows("data/train.jsonl")]
    draw.shuffle(whole)
    for half, part in zip(halves, (whole[::2], whole[1::2]), strict=True):
        half.extend(part)
        draw.shuffle(half)
    return [*halves[0], *halves[1]]


def rows(name: str) -> Iterator[dict[str, Any]]:
    return map(json.loads, (HERE / name).read_text().splitlines())


def conversations(draw: Random) -> Iterator[Talk]:
    """Talks one after the other, so that few tokens are prompts."""
    rest = iter(talks(draw))
    together: Talk = []
    for talk in rest:
        together += talk
        if len(together) >= 2 * draw.choice(TURNS):
            yield together
            together = []
    if together:
        yield together


def main() -> None:
    persona, draw = load_persona("gadfly"), Random(0)
    lines = []
    for turns in conversations(draw):
        led = persona.messages(draw.choice(WITS))
        prompt = [
            {"role": one.role, "content": one.content, **({"train": False} if one.role == "assistant" else {})}
            for one in led
        ]
        lines.append({"messages": [*prompt, *turns], "meta": {"source": "own", "licence": "CC0-1.0"}})
    draw.shuffle(lines)
    Path(sys.argv[1]).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


if __name__ == "__main__":
    main()
