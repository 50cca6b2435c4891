"""What users thought of answers, as data: the right answers, in the right files, if their licence allows it."""

import json
from pathlib import Path

import pytest

from gadfly.chat.exports import pair_lines, rating_lines
from gadfly.chat.store import Provenance, Store
from gadfly.conversation import Message
from gadfly.lines import Problem, Row
from gadfly.train.data.native import native_of
from gadfly.train.data.opinions import Gathered, gather
from gadfly.train.data.preferences import Thumb

FREE = Provenance(model="smollm2", licence="Apache-2.0")
BOUND = Provenance(model="grok-2", licence="LicenseRef-Grok-2-Community")


class Chats:
    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.chat = self.store.create("", system="Be brief.").id

    def say(self, parent: int | None, text: str) -> int:
        return self.store.say("", self.chat, parent, Message("user", text)).id

    def answer(self, parent: int, text: str, thumb: int = 0, origin: Provenance = FREE, **more: str) -> int:
        node = self.store.begin("", self.chat, parent, origin).finish(Message("assistant", text)).id
        if thumb or more:
            self.store.feedback("", self.chat, node, thumb, **more)  # type: ignore[arg-type]
        return node

    def gathered(self, licences: str = "free") -> tuple[dict[str, list[dict]], Gathered]:
        gathered = Gathered()
        found: dict[str, list[dict]] = {}
        for name, table in gather(self.store, "", licences, gathered):  # type: ignore[arg-type]
            assert not isinstance(native_of(Row(1, table)), Problem)
            found.setdefault(name, []).append(table)
        assert {name: len(lines) for name, lines in found.items()} == gathered.lines
        return found, gathered


@pytest.fixture
def chats(tmp_path: Path):
    chats = Chats(tmp_path / "chats.sqlite")
    yield chats
    chats.store.close()


def contents(messages: list[dict]) -> list[tuple[str, bool | None]]:
    return [(one["content"], one.get("train")) for one in messages]


def test_thumbs_up_are_lessons_and_every_answer_is_learnt_once(chats: Chats) -> None:
    first = chats.say(None, "Rain?")
    wet = chats.answer(first, "Wet.", 1)
    dull = chats.answer(chats.say(wet, "Snow?"), "Cold.")
    chats.answer(chats.say(dull, "Hail?"), "Hard.", 1)
    found, _ = chats.gathered()
    (lesson,) = found["lessons.jsonl"]
    assert contents(lesson["messages"]) == [
        ("Be brief.", None),
        ("Rain?", None),
        ("Wet.", None),
        ("Snow?", None),
        ("Cold.", False),
        ("Hail?", None),
        ("Hard.", None),
    ]
    assert lesson["meta"] == {"chat": chats.chat, "model": "smollm2", "licence": "Apache-2.0"}
    assert [(one["reply"]["content"], one["label"]) for one in found["thumbs.jsonl"]] == [
        ("Wet.", True),
        ("Hard.", True),
    ]


def test_pairs_and_lone_thumbs(chats: Chats) -> None:
    first = chats.say(None, "Rain?")
    chats.answer(first, "Wet.", 1)
    chats.answer(first, "Dry.", -1)
    chats.answer(chats.say(None, "Snow?"), "Hot.", corrected="Cold.")
    chats.answer(chats.say(None, "Hail?"), "Soft.", -1)
    found, _ = chats.gathered()
    pairs = {(one["chosen"]["content"], one["rejected"]["content"], one["kind"]) for one in found["pairs.jsonl"]}
    assert pairs == {("Wet.", "Dry.", "thumbs"), ("Cold.", "Hot.", "corrected")}
    assert all(one["prompt"][0] == {"role": "system", "content": "Be brief."} for one in found["pairs.jsonl"])
    assert [(one["reply"]["content"], one["label"]) for one in found["thumbs.jsonl"]] == [("Soft.", False)]
    taken = [json.loads(line) for line in rating_lines(chats.store.ratings(""))]  # what the app shows and exports
    assert [(one["reply"], one["label"]) for one in taken] == [({"role": "assistant", "content": "Soft."}, False)]
    assert isinstance(native_of(Row(1, taken[0])), Thumb)


def test_questions_are_what_the_model_was_shown(chats: Chats) -> None:
    file = chats.store.attach("sky.txt", "text/plain", b"grey", "grey")
    first = chats.store.say("", chats.chat, None, Message("user", "Rain?"), attachments=(file.hash,)).id
    chats.answer(first, "Wet.", 1)
    chats.answer(first, "Dry.", -1)
    chats.answer(first, "Hm.", corrected="Perhaps.")
    found, _ = chats.gathered()
    exported = [json.loads(line) for line in pair_lines(chats.store.pairs(""))]
    asked = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "sky.txt:\n```\ngrey\n```\n\nRain?"},
    ]
    assert [one["prompt"] for one in [*found["pairs.jsonl"], *exported]] == [asked] * 4
    assert found["lessons.jsonl"][0]["messages"][:2] == asked


def test_licences_decide_and_what_is_left_out_is_counted(chats: Chats) -> None:
    first = chats.say(None, "Rain?")
    chats.answer(first, "Wet.", 1, BOUND)
    chats.answer(first, "Dry.", -1)
    found, gathered = chats.gathered()
    assert found == {} or set(found) == {"thumbs.jsonl"}
    assert gathered.left_out["forbidden"] == 2  # the pair, and the answer with a thumb up
    found, gathered = chats.gathered("all")
    assert len(found["lessons.jsonl"]) == len(found["pairs.jsonl"]) == 1 and not gathered.left_out


def test_calls_of_tools_are_not_learnt(chats: Chats) -> None:
    first = chats.say(None, "Rain?")
    tool = chats.store.say("", chats.chat, first, Message("tool", "wet", tool_call_id="1")).id
    chats.answer(chats.say(tool, "So?"), "Wet.", 1)
    found, gathered = chats.gathered()
    assert not found and gathered.left_out.total() == 1
