"""What is preferred to what: both forms of a line, and whatever else is in them a problem with its number."""

import json
from pathlib import Path

import pytest

from gadfly.conversation import Message
from gadfly.lines import Problem
from gadfly.train.data.preferences import Preference, Thumb, read_preferences, read_thumbs

PROMPT = [{"role": "user", "content": "What is rain?"}]
WITTY, PLAIN = ({"role": "assistant", "content": text} for text in ("Sky, leaking.", "Water from clouds."))


def written(folder: Path, *tables: object) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, tables)))
    return path


def test_pairs_and_thumbs(tmp_path: Path) -> None:
    pair = {"prompt": PROMPT, "chosen": WITTY, "rejected": PLAIN, "kind": "edit", "weight": 2, "meta": {"id": "a"}}
    exported = {"prompt": PROMPT, "chosen": [WITTY], "rejected": [PLAIN], "because": "vote"}
    first, second = read_preferences(written(tmp_path, pair, exported))
    rain, witty, plain = Message("user", "What is rain?"), Message(**WITTY), Message(**PLAIN)
    assert first == Preference((rain,), witty, plain, "edit", 2.0, {"id": "a"}, 1)
    assert second == Preference((rain,), witty, plain, "vote", line=2)
    thumb = {"prompt": PROMPT, "reply": WITTY, "label": False, "kind": "thumb"}
    assert list(read_thumbs(written(tmp_path, thumb))) == [Thumb((rain,), witty, False, "thumb", line=1)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompt": []}, "prompt is a list of 0"),
        ({"prompt": "What?"}, "prompt is text; expected a list"),
        ({"prompt": [*PROMPT, WITTY]}, "ends with the assistant"),
        ({"chosen": None}, "chosen is missing"),
        ({"chosen": [WITTY, PLAIN]}, "chosen is a list of 2"),
        ({"chosen": PROMPT[0]}, "role user or empty"),
        ({"rejected": {**WITTY, "content": " "}}, "rejected is of the role assistant or empty"),
        ({"rejected": WITTY}, "are the same"),
        ({"kind": 7}, "kind is 7"),
        ({"weight": True}, "weight is True"),
        ({"meta": 1}, "meta is 1"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said_with_its_line(tmp_path: Path, change: dict[str, object], says: str) -> None:
    pair = {"prompt": PROMPT, "chosen": WITTY, "rejected": PLAIN}
    _, found = read_preferences(written(tmp_path, pair, pair | change))
    assert isinstance(found, Problem) and found.line == 2 and says in found.text


def test_a_thumb_points_up_or_down(tmp_path: Path) -> None:
    (found,) = read_thumbs(written(tmp_path, {"prompt": PROMPT, "reply": WITTY, "label": 1}))
    assert isinstance(found, Problem) and "label is 1; expected true or false" in found.text
