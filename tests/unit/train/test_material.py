"""From files to objectives: what each method makes of them, and what it leaves out."""

import json
from pathlib import Path

import pytest

from gadfly.answer import Prompts
from gadfly.errors import UnsupportedError
from gadfly.lines import Problem
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate
from gadfly.train.material import Material, read_material
from gadfly.train.preferred import Liked, PreferenceConfig, Preferred

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROMPTS = Prompts("tiny", ByteTokenizer(), ChatTemplate(CHATML))
ASKED = [{"role": "user", "content": "Rain?"}]


def answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def material(folder: Path, method: str, *lines: object, longest: int = 200) -> tuple[Material, list[Problem]]:
    path, told = folder / "data.jsonl", []
    path.write_text("\n".join(json.dumps(line) for line in lines))
    made = read_material(method, [path], PROMPTS, longest, PreferenceConfig(), lambda _, problem: told.append(problem))
    return made, told


def learnt(sample) -> str:
    return bytes(int(t) for t in sample.ids[sample.learnt] if t < 256).decode()


def test_a_pair_is_two_answers_to_the_same_prompt(tmp_path: Path) -> None:
    line = {"prompt": ASKED, "chosen": answer("Water."), "rejected": answer("No.")}
    made, told = material(tmp_path, "dpo", line, {**line, "weight": 2}, {**line, "rejected": answer("n" * 200)})
    assert isinstance(made.objective, Preferred)
    (chosen, rejected), _ = made.objective.sequences
    assert (learnt(chosen), learnt(rejected)) == ("Water.", "No.")
    begin = int(chosen.learnt.argmax())
    assert chosen.ids[:begin].tolist() == rejected.ids[:begin].tolist()
    assert [(one.line, "half an answer" in one.text) for one in told] == [(3, True)]


def test_a_thumb_is_held_against_the_answer_to_something_else(tmp_path: Path) -> None:
    lines = [{"prompt": ASKED, "reply": answer(f"{n}."), "label": n > 0} for n in range(3)]
    made, told = material(tmp_path, "kto", *lines, {"prompt": ASKED, "reply": answer("x"), "label": 1})
    assert isinstance(made.objective, Liked)
    assert [learnt(one) for (one,) in made.objective.sequences] == ["0.", "1.", "2."]
    assert [learnt(other) for _, other in made.objective._both] == ["1.", "2.", "0."]
    assert [(one.line, "label is 1" in one.text) for one in told] == [(4, True)]


def test_texts_and_conversations_are_read_by_their_methods(tmp_path: Path) -> None:
    made, _ = material(tmp_path, "text", {"text": "abc " * 100}, longest=50)
    assert len(made.objective.sequences) == 9
    made, told = material(tmp_path, "sft", {"messages": [*ASKED, answer("Water.")]}, {"text": "abc"})
    assert [learnt(one) for (one,) in made.objective.sequences] == ["Water."]
    assert [one.line for one in told] == [2]


@pytest.mark.parametrize("change", [{"label": False}, {"reply": answer("b")}, {"weight": 2}])
def test_the_digest_stands_for_all_that_is_learnt(tmp_path: Path, change: dict) -> None:
    line = {"prompt": ASKED, "reply": answer("a"), "label": True}
    first, _ = material(tmp_path, "kto", line)
    again, _ = material(tmp_path, "kto", line)
    other, _ = material(tmp_path, "kto", {**line, **change})
    assert first.digest == again.digest != other.digest


def test_a_teachers_lessons_are_learnt_from_what_it_found_likely(tmp_path: Path) -> None:
    likely = [["O", [["O", -0.1], ["N", -2.0]]], ["k", [["k", -0.2]]]]
    taught = {"messages": [*ASKED, {**answer("Ok"), "likely": likely}]}
    made, told = material(tmp_path, "distil", taught, {"messages": [*ASKED, answer("Ok")]})
    ((one,),) = made.objective.sequences
    assert learnt(one) == "Ok" and [(p.line, "data synth --logprobs" in p.text) for p in told] == [(2, True)]
    begin = int(one.learnt.argmax())
    assert one.alternatives.ids[begin, :2].tolist() == [ord("O"), ord("N")]
    assert one.alternatives.shares.sum(axis=1).round(5).tolist() == [0] * begin + [1, 1] + [0] * (len(one) - begin - 2)
    plain, _ = material(tmp_path, "sft", taught)
    assert plain.objective.sequences[0][0].alternatives is None and plain.digest != made.digest
    likely[0][1][1][1] = -1.0
    assert material(tmp_path, "distil", taught)[0].digest != made.digest
    short, _ = material(tmp_path, "distil", taught, longest=len(one) - 2)
    assert len(short.objective.sequences[0][0].alternatives.ids) == len(one) - 2
    likely[0][1].append(["No", -3.0])
    with pytest.raises(UnsupportedError, match="the teacher has the token 'No', unlike tiny"):
        material(tmp_path, "distil", taught)
    likely[0] = "O"
    assert "is not made of tokens" in material(tmp_path, "distil", taught)[1][0].text
