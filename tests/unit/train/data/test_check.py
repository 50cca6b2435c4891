"""What is wrong with data is found, with its line, and nothing else is."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadfly.answer import Prompts
from gadfly.errors import RequestError
from gadfly.testing import ByteTokenizer
from gadfly.text import ChatTemplate
from gadfly.train.data.check import Check, data_files
from gadfly.train.data.leaks import Leaks
from gadfly.train.data.native import read_native
from gadfly.train.data.shown import shown
from gadfly.train.data.texts import Document
from unit.train.data.test_sample import CHATML, prompts

USER = {"role": "user", "content": "What is rain?"}


def chat(said: str, asked: str = "What is rain?", **more: object) -> dict[str, object]:
    return {"messages": [{**USER, "content": asked}, {"role": "assistant", "content": said}], **more}


def pair(chosen: str, rejected: str, **more: object) -> dict[str, object]:
    answers = ({"role": "assistant", "content": text} for text in (chosen, rejected))
    return {"prompt": [USER], "chosen": next(answers), "rejected": next(answers), **more}


def written(path: Path, *tables: object) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in tables))
    return path


def found(path: Path, *tables: object, **options: object) -> list[tuple[int, str]]:
    check = Check(**options)  # type: ignore[arg-type]
    check.read(written(path, *tables))
    return [(one.line, one.kind) for one in check.findings]


def test_sound_data_of_every_form(tmp_path: Path) -> None:
    thumb = {"prompt": [USER], "reply": {"role": "assistant", "content": "Wet."}, "label": False}
    check = Check(prompts())
    check.read(written(tmp_path / "a.jsonl", chat("Sky, leaking."), pair("Wet.", "Water."), thumb, {"text": "Drops."}))
    (counts,) = check.files.values()
    assert not check.findings and not check.wrong
    assert (counts.lessons, counts.preferences, counts.thumbs, counts.texts) == (1, 1, 1, 1)
    assert counts.learnt == len("Sky, leaking.|Wet.|Water.|Wet.|rops.|")  # nothing comes before the first of a text


def test_damage_duplicates_and_what_is_merely_alike(tmp_path: Path) -> None:
    lines = [chat("Wet."), "{", chat("Wet.", meta={"id": 2}), chat("WET!", "what is rain"), chat("Wet.", "Rain?")]
    assert found(tmp_path / "a.jsonl", *lines) == [(2, "damaged"), (3, "duplicate"), (4, "alike")]


def test_lines_are_compared_across_files_and_an_alike_one_is_not_wrong(tmp_path: Path) -> None:
    check = Check()
    check.read(written(tmp_path / "train.jsonl", chat("Wet.")))
    check.read(written(tmp_path / "valid.jsonl", chat("wet")))
    assert not check.wrong and check.findings[0].text == f"has the words of {tmp_path / 'train.jsonl'}:1"
    check.read(written(tmp_path / "test.jsonl", chat("Wet.")))
    assert check.wrong and check.findings[1].text == f"says what {tmp_path / 'train.jsonl'}:1 says"


def test_what_is_cut_off_and_what_is_empty(tmp_path: Path) -> None:
    whole = len(prompts().ids(next(read_native(written(tmp_path / "b", chat("Wet."))))[1].messages[:1])) + 5
    for longest, kinds in ((whole, []), (whole - 1, ["truncated"]), (whole - 5, ["empty"])):
        assert found(tmp_path / "a.jsonl", chat("Wet."), prompts=prompts(), longest=longest) == [(1, k) for k in kinds]
    assert found(tmp_path / "a.jsonl", chat(" ")) == [(1, "empty")]
    assert found(tmp_path / "a.jsonl", pair("Wet.", "W" * 99), prompts=prompts(), longest=90) == [(1, "truncated")]


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({}, []),
        ({"meta": {"licence": "CC0-1.0"}}, []),
        ({"meta": {"licence": "LicenseRef-Grok-2-Community"}}, ["licence"]),
        ({"meta": {"model": "grok-2"}}, ["licence"]),
        ({"meta": {"model": "smollm2"}}, []),
        ({"meta": {"model": "somebody's"}}, ["unclear"]),
        ({"meta": {"source": "chatgpt"}}, ["licence"]),
        ({"meta": {"licence": "gemma"}}, ["unclear"]),
        ({"provenance": [{"message": 1, "licence": "MIT"}, {"message": 3, "licence": "llama2"}]}, ["licence"]),
        ({"licences": {"chosen": {"licence": "MIT"}, "rejected": {"licence": "llama3"}}}, ["licence"]),
        ({"provenance": 3, "licences": [1], "meta": {"licence": 4}}, []),
    ],
)
def test_the_strictest_licence_of_a_line_counts(tmp_path: Path, more: dict[str, object], kinds: list[str]) -> None:
    assert [kind for _, kind in found(tmp_path / "a.jsonl", chat("Wet.", **more))] == kinds


@pytest.mark.parametrize("name", ["e.csv", "e.jsonl", "e.json", "e.txt"])
def test_words_of_evaluation_sets_are_found(tmp_path: Path, name: str) -> None:
    question, short = "How many legs does the average kitchen spider have?", "Where does rain go?"
    contents = {
        "e.csv": f'id,prompt\n1,"{question}"\n2,{short}\n',
        "e.jsonl": f'{{"q": "{question}"}}\n{{"few": ["{short}"]}}\n',
        "e.json": f'[{{"q": "{question}"}}, {{"q": "{short}"}}]',
        "e.txt": f"{question}\n\n\n{short}",
    }
    (tmp_path / name).write_text(contents[name])
    leaks = Leaks([tmp_path / name])
    said = [
        chat("Eight.", "How many legs does the average kitchen spider own, in your house?"),
        chat("Eight.", "how many legs does the AVERAGE kitchen-spider have"),
        chat("So you ask: where does rain go? Down.", "And?"),
        chat("Down.", "Where does it go?"),
    ]
    wanted = [(1, "leak"), (2, "leak")] + ([] if name == "e.txt" else [(3, "leak")])
    assert found(tmp_path / "a.jsonl", *said, leaks=leaks) == wanted


def test_an_evaluation_set_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RequestError, match="no text that could be looked for"):
        Leaks([tmp_path / "e.csv"])


def test_a_data_set_is_a_folder_with_known_names(tmp_path: Path) -> None:
    for name in ("test.jsonl", "train.jsonl", "other.jsonl"):
        (tmp_path / name).touch()
    assert [path.name for path in data_files([tmp_path, tmp_path / "other.jsonl"])] == [
        "train.jsonl",
        "test.jsonl",
        "other.jsonl",
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"has no train\.jsonl"):
        data_files([tmp_path / "empty"])


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
FORMS = ("messages", "prompt", "chosen", "rejected", "reply", "label", "text", "conversations", "instruction", "input")
OTHERS = ("output", "completion", "system", "id", "meta", "weight", "dial", "plain", "kind", "provenance", "licences")
keys = st.sampled_from((*FORMS, *OTHERS))
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]) | values, "content": texts | values},
        optional={"train": values, "from": values, "value": texts, "weight": values},
    ),
    max_size=3,
)
tables = st.dictionaries(keys, values | messages | messages.map(lambda found: found[0] if found else {}), max_size=6)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=80) | tables.map(json.dumps).map(str.encode), max_size=4))
def test_no_file_is_more_than_a_report(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("check") / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    check = Check(Prompts("tiny", ByteTokenizer(), ChatTemplate(CHATML)), longest=64)
    check.read(path)
    json.dumps(check.report())


def test_what_is_trained_is_shown_token_by_token(tmp_path: Path) -> None:
    lines = written(tmp_path / "a.jsonl", chat("Wét.", "?"), pair("Wet.", "Dry."), {"text": "Rain."})
    (lesson,), (chosen, rejected), (text,) = (
        list(shown(one[1], prompts(), 1000)) for one in read_native(lines) if isinstance(one, tuple)
    )
    assert "".join(token.text for token in lesson.tokens) == (
        "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\nWét.<|im_end|>\n"
    )
    assert "".join(token.text for token in lesson.tokens if token.learnt) == "Wét.<|im_end|>"
    assert [token.text for token in lesson.tokens if token.learnt] == ["W", "", "é", "t", ".", "<|im_end|>"]
    assert [token.text for token in lesson.tokens if token.control] == ["<|im_start|>", "<|im_end|>"] * 2
    assert [one.what for one in (lesson, chosen, rejected, text)] == ["lesson", "chosen", "rejected", "text"]
    assert "".join(token.text for token in rejected.tokens if token.learnt) == "Dry.<|im_end|>"
    first, second, third = shown(Document("Rain."), prompts(), 3)
    assert [token.text for token in second.tokens] == ["i", "n", "."] and not second.tokens[0].learnt
    assert third.tokens[-1].control and first.cut == 0
